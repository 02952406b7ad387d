using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>The slots of one open segment. Slot <c>i</c> is found without reading what lies before it.</summary>
internal interface ISegmentReader : IDisposable
{
    /// <summary>Whole slots when it was opened or last looked at: the collector may be adding more.</summary>
    long Slots { get; }

    /// <summary>Looks again how many slots there are.</summary>
    void Refresh();

    /// <summary>Reads from the beginning of a slot.</summary>
    /// <param name="skip">Bytes of the slot that are known already.</param>
    /// <returns>Bytes read: fewer than asked for only where the file ends, which a collector that runs out of disk may have cut.</returns>
    int Read(long slot, int skip, Span<byte> target);
}

internal static class SegmentSearch
{
    /// <summary>The last slot that begins at or before <paramref name="time"/>; the first one where all begin later.</summary>
    public static long SlotAt(this ISegmentReader segment, ulong time)
    {
        long low = 0;
        long high = segment.Slots;
        while (high - low > 1)
        {
            long middle = low + (high - low) / 2;
            (low, high) = segment.HeaderOf(middle) is { } header && header.TimeStamp <= time ? (middle, high) : (low, middle);
        }
        return low;
    }

    /// <summary>Trace clock of the last event.</summary>
    /// <param name="slot">Room of a slot. The segment has at least one.</param>
    public static ulong NewestEvent(this ISegmentReader segment, Span<byte> slot)
    {
        EventCursor events = new(slot[..segment.Read(segment.Slots - 1, 0, slot)]);
        ulong newest = events.Header.TimeStamp;
        while (events.TryRead(out RingEvent last))
        {
            newest = last.TimeStamp;
        }
        return newest;
    }

    public static SubBuffer? HeaderOf(this ISegmentReader segment, long slot)
    {
        Span<byte> header = stackalloc byte[SubBuffer.HeaderBytes];
        return segment.Read(slot, 0, header) == header.Length ? new SubBuffer(header) : null;
    }
}
