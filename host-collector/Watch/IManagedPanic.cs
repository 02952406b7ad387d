namespace VsockPair.Watch;

/// <summary>A machine whose manager sees to a panic itself (libvirt's <c>on_crash</c> other than preserve), so that it is neither read nor let go by us.</summary>
internal interface IManagedPanic
{
    /// <summary>Why its memory cannot be read, and what would change that.</summary>
    string Reason { get; }

    /// <summary>Waits until the manager is through with a panic.</summary>
    /// <param name="crashed">When it was told.</param>
    /// <exception cref="MachineException">The manager is gone itself.</exception>
    Task<ManagedOutcome> WaitAsync(DateTimeOffset crashed, CancellationToken stop);
}

/// <param name="Dump">The manager's own dump, whole; null when there is none.</param>
/// <param name="StillStands">The manager has given up, and the machine waits for somebody.</param>
/// <param name="Reason">Why there is no dump.</param>
internal sealed record ManagedOutcome(string? Dump, bool StillStands, string? Reason);
