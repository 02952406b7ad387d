namespace VsockPair.Protocol;

/// <summary>Why the collector closed a connection instead of a Welcome.</summary>
public enum RefusalReason : uint
{
    VersionNotSpoken = 1,
    BadHello = 2,

    /// <summary>The token belongs to no live session: the agent starts a new one.</summary>
    NoSuchSession = 3,

    TooManyConnections = 4,
    PortNotPrivileged = 5,
    CpuOutOfRange = 6,
    SubBufferSize = 7,
    Stopping = 8,
    GuestNotAccepted = 9,

    /// <summary>The store cannot be written. The agent tries again later.</summary>
    StoreNotWritable = 10,
}
