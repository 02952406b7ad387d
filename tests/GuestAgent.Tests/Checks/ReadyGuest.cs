using VsockPair.GuestAgent.Tests.Sessions;

namespace VsockPair.GuestAgent.Tests.Checks;

/// <summary>What a guest has in which every check is well.</summary>
internal static class ReadyGuest
{
    public const string PciDevice = "sys/bus/pci/devices/0000:00:03.0";
    public const string Ring = "sys/kernel/tracing/instances/boot_map";

    public static void Prepare(FakeGuest guest)
    {
        guest.Write("sys/bus/pci/devices/0000:00:01.0/vendor", "0x1af4\n");
        guest.Write("sys/bus/pci/devices/0000:00:01.0/device", "0x1000\n");
        guest.Write($"{PciDevice}/vendor", "0x1b36\n");
        guest.Write($"{PciDevice}/device", "0x0011\n");
        guest.Write($"{PciDevice}/capability", "3\n");
        guest.Write($"{PciDevice}/events", "3\n");
        guest.Write($"{PciDevice}/driver/module", "");
        guest.Write("sys/kernel/kexec_crash_loaded", "0\n");
        guest.Write("sys/module/kernel/parameters/crash_kexec_post_notifiers", "N\n");
        guest.Write("proc/sys/kernel/panic", "10\n");
        guest.Write("proc/sys/kernel/panic_on_oops", "1\n");
        guest.Write("proc/sys/kernel/kptr_restrict", "0\n");
        guest.Write("sys/bus/acpi/devices/QEMU0002:00/status", "15\n");
        guest.Write("sys/firmware/qemu_fw_cfg/by_name/etc/vmcoreinfo/size", "16\n");
        guest.Write("sys/module/pstore/parameters/backend", "ramoops\n");
        guest.Write("sys/module/ramoops/parameters/record_size", "131072\n");
        guest.Write("proc/mounts", "proc /proc proc rw 0 0\npstore /sys/fs/pstore pstore rw 0 0\n");
        guest.Write($"{Ring}/{Tracing.PersistentRing.BootInfo}", "text delta:\t0\ndata delta:\t0\n");
        guest.Write($"{Ring}/buffer_size_kb", "2032\n");
        guest.Write("dev/vsock", "");
    }
}
