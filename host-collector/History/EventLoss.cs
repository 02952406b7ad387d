using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>Events that are missing at one place.</summary>
/// <param name="Any">Whether there are any.</param>
/// <param name="Events">How many; null when that is unknown.</param>
internal readonly record struct EventLoss(bool Any, ulong? Events)
{
    /// <summary>What a sub-buffer says of the time before it.</summary>
    public static EventLoss Of(in EventCursor events) => events.Header.Missed ? new EventLoss(true, events.LostEvents) : default;

    public EventLoss And(EventLoss other) =>
        !other.Any ? this : !Any ? other : new EventLoss(true, Events is ulong a && other.Events is ulong b ? Saturating.Add(a, b) : null);
}
