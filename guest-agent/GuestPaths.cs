namespace VsockPair.GuestAgent;

/// <summary>Where the kernel's interfaces stand. Tests give another root.</summary>
internal sealed record GuestPaths(string Root = "")
{
    public string Proc { get; } = $"{Root}/proc";

    public string SysFs { get; } = $"{Root}/sys";

    public string Kmsg { get; } = $"{Root}/dev/kmsg";

    public IReadOnlyList<string> Tracefs { get; } = [$"{Root}/sys/kernel/tracing", $"{Root}/sys/kernel/debug/tracing"];

    /// <summary>The kernel's own place, and where systemd-pstore moves the records to.</summary>
    public IReadOnlyList<string> Pstore { get; } = [$"{Root}/sys/fs/pstore", $"{Root}/var/lib/systemd/pstore"];

    /// <summary>What must survive the agent, but not the boot.</summary>
    public string State { get; } = $"{Root}/run/vsockpair-agent";
}
