using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>Events that are missing at one place.</summary>
/// <param name="Any">Whether there are any.</param>
/// <param name="Events">How many; null when that is unknown.</param>
internal readonly record struct EventLoss(bool Any, ulong? Events)
{
    /// <summary>A month of a vCPU that does nothing else: who says more says nothing, and a sum of them fits into any number.</summary>
    private const ulong MostEvents = 1UL << 46;

    /// <summary>What nobody can tell the size of.</summary>
    public static EventLoss Unknown { get; } = new(true, null);

    /// <summary>What a sub-buffer says of the time before it. A flag with a count of none is still a flag.</summary>
    public static EventLoss Of(in EventCursor events) => !events.Header.Missed ? default : events.LostEvents is ulong lost and > 0 ? Of(lost) : Unknown;

    public static EventLoss Of(ulong? events) => new(true, events <= MostEvents ? events : null);

    public EventLoss And(EventLoss other) =>
        !other.Any ? this : !Any ? other : new EventLoss(true, Events is ulong a && other.Events is ulong b ? Saturating.Add(a, b) : null);
}
