namespace VsockPair.Watch;

/// <summary>
/// What this program says on QMP, which is full control of a machine: these commands and no others. <see cref="QmpClient"/> sends nothing else, and nobody else
/// can make one.
/// </summary>
internal sealed class QmpCommand
{
    public static readonly QmpCommand Capabilities = new("qmp_capabilities");
    public static readonly QmpCommand QueryStatus = new("query-status");
    public static readonly QmpCommand QueryUuid = new("query-uuid");
    public static readonly QmpCommand QueryMemorySize = new("query-memory-size-summary");

    /// <summary>Only of a vsock device's <c>guest-cid</c>.</summary>
    public static readonly QmpCommand QomGet = new("qom-get");

    /// <summary>Only of the two folders that hold a machine's devices.</summary>
    public static readonly QmpCommand QomList = new("qom-list");

    /// <summary>Only of <c>panic</c>.</summary>
    public static readonly QmpCommand SetAction = new("set-action");
    public static readonly QmpCommand QueryDumpCapability = new("query-dump-guest-memory-capability");
    public static readonly QmpCommand QueryDump = new("query-dump");
    public static readonly QmpCommand GetFd = new("getfd");

    /// <summary>Never with <c>paging</c>: a guest could make QEMU allocate gigabytes.</summary>
    public static readonly QmpCommand Dump = new("dump-guest-memory");
    public static readonly QmpCommand Stop = new("stop");
    public static readonly QmpCommand Continue = new("cont");
    public static readonly QmpCommand Reset = new("system_reset");

    private QmpCommand(string name) => Name = name;

    public string Name { get; }

    public override string ToString() => Name;
}
