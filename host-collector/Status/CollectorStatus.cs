using VsockPair.Storage;

namespace VsockPair.Status;

/// <summary>What the running collector answers to <c>{"command":"status"}</c>: one line of JSON, then it closes.</summary>
public sealed record CollectorStatus
{
    public const string Command = "status";

    public required string Version { get; init; }

    public required int ProcessId { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>What is listened on, e.g. <c>vsock::829</c>.</summary>
    public required IReadOnlyList<string> Listening { get; init; }

    /// <summary>Bulk streams are not read because the disk has less room than KeepFree, or none at all.</summary>
    public required bool DiskFull { get; init; }

    /// <summary>Connections closed for a violation before a guest was known to have a session, plus those of all guests.</summary>
    public required long Violations { get; init; }

    public required IReadOnlyList<GuestStatus> Guests { get; init; }
}

/// <summary>One guest that was seen since the collector started.</summary>
public sealed record GuestStatus
{
    public required string Name { get; init; }

    /// <summary>As in <see cref="GuestRecord.IdentifiedBy"/>.</summary>
    public required string IdentifiedBy { get; init; }

    public uint? Cid { get; init; }

    public string? Socket { get; init; }

    public required int Connections { get; init; }

    /// <summary>Kind of violation → how often, since the collector started.</summary>
    public required IReadOnlyDictionary<string, long> Violations { get; init; }

    public required bool OverBudget { get; init; }

    /// <summary>Boots with a live session, and the newest one that had any.</summary>
    public required IReadOnlyList<BootStatus> Boots { get; init; }
}

/// <summary>One life of one boot.</summary>
public sealed record BootStatus
{
    /// <summary>Name of its folder: the boot id, with <c>.N</c> for a later life.</summary>
    public required string Boot { get; init; }

    public required string Kernel { get; init; }

    public required string AgentVersion { get; init; }

    /// <summary>Null when no session is live.</summary>
    public DateTimeOffset? ConnectedSince { get; init; }

    /// <summary>Smallest sequence that is not stored yet.</summary>
    public required ulong KmsgNextSequence { get; init; }

    public required bool KmsgConnected { get; init; }

    public required IReadOnlyList<StreamStatus> Streams { get; init; }
}

/// <summary>One vCPU's stream.</summary>
public sealed record StreamStatus
{
    /// <summary><c>cpu3</c>.</summary>
    public required string Stream { get; init; }

    public required bool Connected { get; init; }

    /// <summary>Averages of the last 10 s.</summary>
    public required double BytesPerSecond { get; init; }

    public required double EventsPerSecond { get; init; }

    /// <summary>Of this boot: events stored (also what retention removed since), lost in the guest's ring, and on the way.</summary>
    public required ulong StoredEvents { get; init; }

    public required ulong RingLostEvents { get; init; }

    public required ulong TransportLostEvents { get; init; }
}
