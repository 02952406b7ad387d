namespace VsockPair.TestKit.Vm;

/// <summary>The arguments that make QEMU the machine of a <see cref="GuestOptions"/>; how its links are connected differs per rig.</summary>
internal static class QemuCommandLine
{
    private const int RamoopsMiB = 1;
    private const int TraceMiB = 8;

    // The initramfs is loaded at the top of RAM and again at every warm reboot: memory that must survive lies below it.
    private const int MiBAboveRamoops = 64;
    private const int MiBAboveTrace = 128;

    // q35 gives the rest of a larger guest addresses above 4 GiB.
    private const int LargestLowMiB = 2048;

    public static string RamoopsParameters(GuestOptions options) =>
        $"mem_address=0x{PersistentAddress(options, MiBAboveRamoops):x} mem_size=0x100000 record_size=0x20000 console_size=0x20000 max_reason=2 ecc=1";

    public static void Check(GuestOptions options, long initramfsSize)
    {
        if (options.InstructionCounting && options.Cpus != 1)
        {
            throw new ArgumentException("InstructionCounting works with Cpus = 1 only");
        }

        // Half for its unpacked copy, while the archive itself is still there.
        if (initramfsSize > options.MemoryMiB * 1024L * 1024 / 3)
        {
            throw new ArgumentException($"{options.MemoryMiB} MiB are too few for an initramfs of {initramfsSize >> 20} MiB");
        }

        if ((options.Ramoops || options.PersistentTraceBuffer) && initramfsSize > (MiBAboveRamoops - RamoopsMiB - 1) * 1024L * 1024)
        {
            throw new ArgumentException($"an initramfs of {initramfsSize >> 20} MiB would overwrite the memory that survives a reboot");
        }
    }

    /// <summary>Machine, kernel and devices that every guest has; QEMU's modules and firmware are found where Debian puts them.</summary>
    public static List<string> Machine(GuestOptions options, string kernelImage, string initramfs)
    {
        List<string> arguments =
        [
            // With several vCPU threads QEMU 10.0.2 has died in iotlb_to_section while the firmware ran (1 of 35 boots of 4 vCPUs).
            // SMM off spares it memory map changes at that time: 38 boots without a failure, too few to call it cured.
            "-machine", "q35,smm=off,memory-backend=mem",
            "-object", $"memory-backend-memfd,id=mem,size={options.MemoryMiB}M,share=on",
            "-m", $"{options.MemoryMiB}",
            "-smp", $"{options.Cpus}",
            "-cpu", "Nehalem", // x86-64-v2 with cx16, the least that NativeAOT runs on
            "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", kernelImage,
            "-initrd", initramfs,
            "-append", KernelArguments(options),
            "-serial", "chardev:console",
            "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=command,name=command",
            "-mon", "chardev=qmp,mode=control",
            "-action", options.PauseOnPanic ? "panic=pause" : "panic=none",
        ];
        if (options.CrashDevices)
        {
            arguments.AddRange(["-device", options.IsaPanicDevice ? "pvpanic" : "pvpanic-pci", "-device", "vmcoreinfo"]);
        }

        arguments.AddRange(options.InstructionCounting
            ? ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
            : ["-accel", "tcg"]);
        return arguments;
    }

    public static string KernelArguments(GuestOptions options)
    {
        List<string> arguments = ["console=ttyS0", "quiet", "panic=1"];
        if (options.InstructionCounting)
        {
            arguments.Add("mitigations=off");
        }

        if (options.Ramoops)
        {
            arguments.Add($"memmap={RamoopsMiB}M$0x{PersistentAddress(options, MiBAboveRamoops):x}");
        }

        if (options.PersistentTraceBuffer)
        {
            string address = $"0x{PersistentAddress(options, MiBAboveTrace):x}";
            arguments.AddRange([$"memmap={TraceMiB}M${address}", $"trace_instance=boot_map^traceoff@{address}:{TraceMiB}M", "nokaslr"]);
        }

        arguments.Add(options.ExtraKernelArguments);
        return string.Join(' ', arguments);
    }

    private static long PersistentAddress(GuestOptions options, int mibBelowTop) =>
        (Math.Min(options.MemoryMiB, LargestLowMiB) - mibBelowTop) * 1024L * 1024;
}
