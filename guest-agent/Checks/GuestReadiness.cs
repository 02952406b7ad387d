using VsockPair.GuestAgent.Metadata;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Checks;

/// <summary>
/// Would a crash of this guest be caught, and how completely? Each check names what it looked at, what is wrong, and what mends it. Nothing is changed in the guest.
/// </summary>
internal static class GuestReadiness
{
    public static List<ReadinessCheck> Look(GuestPaths paths)
    {
        List<ReadinessCheck> checks =
        [
            PanicDevice.Look(paths),
            KernelCrash.Kdump(paths),
            KernelCrash.Timeout(paths),
            KernelCrash.Oops(paths),
            Vmcoreinfo(paths),
            CrashRecords.Pstore(paths),
            Tracing(paths),
            CrashRecords.TraceRing(paths),
            Symbols(paths),
            Types(paths),
        ];
        return WrongFirst(checks);
    }

    /// <summary>What is wrong comes first; otherwise the order stays.</summary>
    public static List<ReadinessCheck> WrongFirst(List<ReadinessCheck> checks)
    {
        List<ReadinessCheck> sorted = checks.FindAll(c => c.State == CheckState.Missing);
        sorted.AddRange(checks.FindAll(c => c.State == CheckState.NotCounted));
        sorted.AddRange(checks.FindAll(c => c.State == CheckState.Ok));
        return sorted;
    }

    internal static ReadinessCheck Ok(string check, string text) => new(check, CheckState.Ok, text, "");

    internal static ReadinessCheck Missing(string check, string text, string fix) => new(check, CheckState.Missing, text, fix);

    /// <summary>The host can read a dump of this guest without searching it: the kernel has told the VMM where its VMCOREINFO note lies.</summary>
    private static ReadinessCheck Vmcoreinfo(GuestPaths paths)
    {
        const string Name = "vmcoreinfo";
        string firmware = $"{paths.SysFs}/firmware/qemu_fw_cfg";
        if (!File.Exists($"{paths.SysFs}/kernel/vmcoreinfo"))
        {
            return Missing(Name, "this kernel has no /sys/kernel/vmcoreinfo: the host cannot find its way in the memory", "a kernel built with CONFIG_VMCORE_INFO");
        }
        // The driver hands the note over when it finds the file (fw_cfg_register_file).
        if (Directory.Exists($"{firmware}/by_name/etc/vmcoreinfo"))
        {
            return Ok(Name, "the host knows where the kernel describes itself");
        }
        if (Directory.Exists($"{firmware}/by_name"))
        {
            return Missing(Name, "the machine has no vmcoreinfo device", "on the host: -device vmcoreinfo (libvirt: <features><vmcoreinfo state='on'/></features>)");
        }
        return Directory.Exists($"{paths.SysFs}/bus/acpi/devices/QEMU0002:00")
            ? Missing(Name, "the driver qemu_fw_cfg is not loaded, so the host does not know where the kernel describes itself", ModuleFix("qemu_fw_cfg"))
            : Missing(Name, "the machine has no fw_cfg, by which the kernel could describe itself to the host", "only QEMU has it: -device vmcoreinfo");
    }

    internal static string ModuleFix(string module) => $"modprobe {module}; for every boot: echo {module} >> /etc/modules-load.d/vsockpair.conf";

    private static ReadinessCheck Tracing(GuestPaths paths)
    {
        const string Name = "tracefs";
        return Tracefs.Find(paths) is Tracefs found
            ? Ok(Name, $"mounted at {found.Folder}")
            : Missing(Name, "not mounted: no trace", $"mount -t tracefs tracefs {paths.Tracefs[0]}, then restart the agent");
    }

    private static ReadinessCheck Symbols(GuestPaths paths)
    {
        const string Name = "kallsyms";
        string file = $"{paths.Proc}/kallsyms";
        using KallsymsSource symbols = new(() => new Files.FileSource(file), KallsymsPart.Core);
        return !symbols.IsHidden
            ? Ok(Name, "the kernel shows its symbols' addresses")
            : Missing(
                Name,
                $"no addresses (kptr_restrict is {TryRead($"{paths.Proc}/sys/kernel/kptr_restrict") ?? "not readable"}): functions have no names, and the host cannot find the log and the rings in the memory",
                "sysctl -w kernel.kptr_restrict=1, and the agent as root or with CAP_SYSLOG");
    }

    private static ReadinessCheck Types(GuestPaths paths)
    {
        const string Name = "btf";
        return File.Exists($"{paths.SysFs}/kernel/btf/vmlinux")
            ? Ok(Name, "the kernel describes its types")
            : Missing(Name, "no /sys/kernel/btf/vmlinux: the host cannot read the trace rings out of the memory", "a kernel built with CONFIG_DEBUG_INFO_BTF");
    }

    /// <summary>A small file of the kernel, or null where it cannot be read.</summary>
    internal static string? TryRead(string path)
    {
        try
        {
            return SmallFile.ReadText(path).Trim();
        }
        catch (LinuxException)
        {
            // Not there, or not for us: the check says so.
            return null;
        }
    }
}
