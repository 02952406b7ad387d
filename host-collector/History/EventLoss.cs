using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>Events that are missing at one place.</summary>
/// <param name="Any">Whether there are any.</param>
/// <param name="Events">How many; null when that is unknown, 0 when they are in the number that the loss before this one tells.</param>
/// <param name="IsMore">There are more than that, and how many is unknown.</param>
internal readonly record struct EventLoss(bool Any, ulong? Events, bool IsMore = false)
{
    /// <summary>A month of a vCPU that does nothing else: who says more says nothing, and a sum of them fits into any number.</summary>
    private const ulong MostEvents = 1UL << 46;

    /// <summary>What nobody can tell the size of.</summary>
    public static EventLoss Unknown { get; } = new(true, null);

    /// <summary>What a sub-buffer says of the time before it. A flag with a count of none is still a flag.</summary>
    public static EventLoss Of(in EventCursor events) => !events.Header.Missed ? default : events.LostEvents is ulong lost and > 0 ? Of(lost) : Unknown;

    /// <summary>What one mark of a reader can tell, which has room for a number or none.</summary>
    public ulong? Mark => IsMore || Events == 0 ? null : Events;

    public static EventLoss Of(ulong? events) => new(true, events <= MostEvents ? events : null);

    public EventLoss And(EventLoss other)
    {
        if (!Any || !other.Any)
        {
            return Any ? this : other;
        }
        return (Events, other.Events) switch
        {
            (ulong a, ulong b) => new EventLoss(true, Saturating.Add(a, b), IsMore || other.IsMore),
            (null, null) => Unknown,
            _ => new EventLoss(true, Events ?? other.Events, IsMore: true),
        };
    }
}
