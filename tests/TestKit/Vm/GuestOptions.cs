namespace VsockPair.TestKit.Vm;

/// <summary>What a test guest is made of.</summary>
public sealed record GuestOptions
{
    public GuestKernel Kernel { get; init; } = GuestKernel.Linux612;

    public int Cpus { get; init; } = 2;

    public int MemoryMiB { get; init; } = 512;

    /// <summary>The guest's host name, and the name of its hybrid socket.</summary>
    public string Name { get; init; } = "guest";

    /// <summary>
    /// Where the guest's hybrid vsock lies: it connects to CID 2, port P, and arrives at &lt;directory&gt;/&lt;name&gt;.vsock_P.
    /// The guest's own directory where none is given.
    /// </summary>
    public string? VsockDirectory { get; init; }

    /// <summary>The guest's own CID. Hybrid guests may share one: each has its own backend.</summary>
    public uint Cid { get; init; } = 3;

    /// <summary>Files to put into the guest: path there → path on this machine. All are executable.</summary>
    public Dictionary<string, string> Files { get; init; } = [];

    /// <summary>Files to put into the guest: path there → text.</summary>
    public Dictionary<string, string> Texts { get; init; } = [];

    /// <summary>Shell commands that run at every boot before the guest counts as ready; long-running programs go into the background.</summary>
    public string InitScript { get; init; } = "";

    /// <summary>Kernel modules to insert besides the usual ones: virtio_blk, vhost_vsock. GuestModules.cs lists what there is.</summary>
    public IReadOnlyList<string> Modules { get; init; } = [];

    /// <summary>Crash records survive a warm reboot; pstore is mounted at /sys/fs/pstore.</summary>
    public bool Ramoops { get; init; }

    /// <summary>Kernel 6.12: an 8 MiB trace instance boot_map that survives a warm reboot. Turns kernel address randomisation off.</summary>
    public bool PersistentTraceBuffer { get; init; }

    /// <summary>The devices by which the guest tells of a panic, and where its kernel describes itself: pvpanic-pci and vmcoreinfo.</summary>
    public bool CrashDevices { get; init; } = true;

    /// <summary>pvpanic as an ISA device, which ACPI tells of, instead of the one on the PCI bus.</summary>
    public bool IsaPanicDevice { get; init; }

    /// <summary>QEMU stops a panicking guest before it writes its crash record, until somebody sends <c>cont</c>.</summary>
    public bool PauseOnPanic { get; init; }

    /// <summary>
    /// One guest nanosecond is one guest instruction: CPU times repeat within about 1 %. One CPU only; let the guest settle for 8 s
    /// before measuring.
    /// </summary>
    public bool InstructionCounting { get; init; }

    public string ExtraKernelArguments { get; init; } = "";

    public IReadOnlyList<string> QemuArguments { get; init; } = [];

    /// <summary>Further virtio-serial ports, defined in <see cref="QemuArguments"/>: init links them below /dev/virtio-ports.</summary>
    public IReadOnlyList<string> ExtraPorts { get; init; } = [];

    /// <summary>How long the boot may take until the command server answers.</summary>
    public TimeSpan BootTimeout { get; init; } = TimeSpan.FromMinutes(2);
}
