using VsockPair.Cases;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>What the running crash service answers to <c>{"command":"status"}</c> at <c>watch.sock</c>.</summary>
internal sealed record WatchStatus
{
    public const string Command = "status";

    public required string Version { get; init; }

    public required int ProcessId { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>Cases that watch is not through with.</summary>
    public required IReadOnlyList<string> OpenCases { get; init; }

    public required IReadOnlyList<MachineStatus> Machines { get; init; }
}

/// <summary>One machine that was found.</summary>
internal sealed record MachineStatus
{
    public required string Name { get; init; }

    public required string Source { get; init; }

    public Guid? Uuid { get; init; }

    public uint? Cid { get; init; }

    /// <summary>Of its VMM.</summary>
    public DateTimeOffset? Started { get; init; }

    /// <summary>Null while there is no connection.</summary>
    public DateTimeOffset? ConnectedSince { get; init; }

    /// <summary>Why there is none.</summary>
    public string? Fault { get; init; }

    /// <summary><c>running</c>, <c>paused</c>, <c>panicked</c>, <c>shutdown</c> or <c>other</c>; null while there is no connection.</summary>
    public string? State { get; init; }

    public long? MemoryBytes { get; init; }

    public IReadOnlyList<CheckRecord> Checks { get; init; } = [];

    /// <summary>Since watch was started: GUEST_PANICKED, and all others that mean something here.</summary>
    public long Panics { get; init; }

    public long Events { get; init; }
}

/// <summary><c>{"command":"dump",…}</c>.</summary>
internal sealed record DumpRequest
{
    public const string Name = "dump";

    public required string Command { get; init; }

    public required string Guest { get; init; }

    /// <summary>False: only what it would cost.</summary>
    public required bool Confirmed { get; init; }
}

/// <summary>A line of the answer to <see cref="DumpRequest"/>; the last one has <see cref="Case"/> or <see cref="Error"/>, or answers one that was not confirmed.</summary>
internal sealed record DumpProgress
{
    public string? Error { get; init; }

    public long? MemoryBytes { get; init; }

    /// <summary>How long the guest will stand still.</summary>
    public double? ExpectedSeconds { get; init; }

    public long? Done { get; init; }

    public long? Total { get; init; }

    public CaseEvent? Case { get; init; }
}

/// <summary>What <c>Exec</c> gets on its standard input.</summary>
/// <param name="Folder">Of the case.</param>
/// <param name="Manifest">Null when no parts could be made.</param>
internal sealed record CaseReport(string Folder, CaseEvent Event, CaseManifest? Manifest);
