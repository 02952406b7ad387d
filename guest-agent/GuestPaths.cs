namespace VsockPair.GuestAgent;

/// <summary>Where the kernel's interfaces stand. Tests give another root.</summary>
internal sealed class GuestPaths(string root = "")
{
    public string Proc { get; } = $"{root}/proc";

    public string SysFs { get; } = $"{root}/sys";

    public string Kmsg { get; } = $"{root}/dev/kmsg";

    public string Vsock { get; } = $"{root}/dev/vsock";

    public string[] Tracefs { get; } = [$"{root}/sys/kernel/tracing", $"{root}/sys/kernel/debug/tracing"];

    /// <summary>The kernel's own place, and where systemd-pstore moves the records to.</summary>
    public string[] Pstore { get; } = [$"{root}/sys/fs/pstore", $"{root}/var/lib/systemd/pstore"];

    /// <summary>Where kdump leaves what it saved of a crash, a folder each.</summary>
    public string KdumpFolder { get; } = $"{root}/var/crash";

    public string[] DynamicDebug { get; } = [$"{root}/sys/kernel/debug/dynamic_debug", $"{root}/proc/dynamic_debug"];

    /// <summary>What must survive the agent, but not the boot.</summary>
    public string State { get; } = $"{root}/run/vsockpair-agent";
}
