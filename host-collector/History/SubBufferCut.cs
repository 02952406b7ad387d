using System.Buffers.Binary;
using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>
/// Parts of a sub-buffer as sub-buffers of their own. An event's time is a sum of deltas from the header's time stamp on, so a part begins with the time of the event
/// before it; time extends stay with the event that they belong to.
/// </summary>
internal static class SubBufferCut
{
    /// <summary>Cuts off the events outside a range, in place.</summary>
    /// <param name="subBuffer">Room of a whole slot.</param>
    /// <returns>False when none is left.</returns>
    public static bool TryKeep(Span<byte> subBuffer, TraceRange range)
    {
        int start = SubBuffer.HeaderBytes;
        EventCursor events = new(subBuffer);
        ulong startTime = events.Header.TimeStamp;
        int end = SubBuffer.HeaderBytes;
        bool any = false;
        while (events.TryRead(out RingEvent next) && next.TimeStamp <= range.To)
        {
            end = events.Place.Position;
            if (!any && next.TimeStamp < range.From)
            {
                start = events.Place.Position;
                startTime = next.TimeStamp;
            }
            else
            {
                any = true;
            }
        }
        if (any)
        {
            CutTo(subBuffer, start, startTime, end);
        }
        return any;
    }

    /// <summary>
    /// Cuts off what follows the last event that is one, and all bits of the header's commit field that say nothing: readers differ in what they make of either, and
    /// trace-cmd goes on where its data ends.
    /// </summary>
    /// <returns>False when more than padding was cut off.</returns>
    public static bool TryMend(Span<byte> subBuffer)
    {
        EventCursor events = new(subBuffer);
        int end = SubBuffer.HeaderBytes;
        while (events.TryRead(out _))
        {
            end = events.Place.Position;
        }
        if (end != SubBuffer.HeaderBytes + events.Header.DataBytes || BinaryPrimitives.ReadUInt64LittleEndian(subBuffer[8..]) != CommitOf(events.Header, events.Header.DataBytes))
        {
            CutTo(subBuffer, SubBuffer.HeaderBytes, events.Header.TimeStamp, end);
        }
        return !events.IsMalformed;
    }

    /// <summary>Moves everything but the first events to another sub-buffer of the same size.</summary>
    /// <returns>False when there are no more.</returns>
    public static bool TrySplit(Span<byte> subBuffer, Span<byte> rest, int first)
    {
        EventCursor events = new(subBuffer);
        while (first > 0 && events.TryRead(out _))
        {
            first--;
        }
        if (events.Place.Position >= SubBuffer.HeaderBytes + events.Header.DataBytes)
        {
            return false;
        }
        subBuffer.CopyTo(rest);
        CutTo(rest, events.Place.Position, events.Place.Time, SubBuffer.HeaderBytes + events.Header.DataBytes);
        CutTo(subBuffer, SubBuffer.HeaderBytes, events.Header.TimeStamp, events.Place.Position);
        return true;
    }

    /// <summary>Copies events to a smaller sub-buffer, as many as it has room for beside a lost count. Losses stay behind.</summary>
    /// <param name="place">Where to begin; moved behind what was taken.</param>
    /// <param name="taken">How many; 0 where the next event has no room even alone, and was passed over.</param>
    /// <returns>False when no event is left.</returns>
    public static bool TryTake(ReadOnlySpan<byte> subBuffer, ref CursorPlace place, Span<byte> target, out int taken)
    {
        taken = 0;
        EventCursor events = new(subBuffer, place);
        CursorPlace start = events.Place;
        CursorPlace end = start;
        bool any = false;
        while (events.TryRead(out _))
        {
            any = true;
            bool fits = SubBuffer.HeaderBytes + events.Place.Position - start.Position + SubBuffer.LostCountBytes <= target.Length;
            place = fits || taken == 0 ? events.Place : place;
            if (!fits)
            {
                break;
            }
            end = place;
            taken++;
        }
        int bytes = end.Position - start.Position;
        target.Clear();
        subBuffer.Slice(start.Position, bytes).CopyTo(target[SubBuffer.HeaderBytes..]);
        BinaryPrimitives.WriteUInt64LittleEndian(target, start.Time);
        WriteCommit(target, (uint)bytes);
        return any;
    }

    /// <summary>Takes back what this sub-buffer says of events lost before it.</summary>
    public static void ClearLoss(Span<byte> subBuffer) => WriteCommit(subBuffer, (uint)new SubBuffer(subBuffer).DataBytes);

    /// <summary>Says that events were lost before this sub-buffer.</summary>
    /// <param name="events">Null when their number is unknown.</param>
    /// <returns>False when there is no room for the number, and nothing was changed.</returns>
    public static bool TryMarkLoss(Span<byte> subBuffer, ulong? events)
    {
        SubBuffer header = new(subBuffer);
        int end = SubBuffer.HeaderBytes + header.DataBytes;
        if (events is not ulong count)
        {
            WriteCommit(subBuffer, (uint)header.DataBytes | SubBuffer.MissedEvents);
            return true;
        }
        if (end + SubBuffer.LostCountBytes > subBuffer.Length)
        {
            return false;
        }
        WriteCommit(subBuffer, (uint)header.DataBytes | SubBuffer.MissedEvents | SubBuffer.MissedStored);
        BinaryPrimitives.WriteUInt64LittleEndian(subBuffer[end..], count);
        return true;
    }

    /// <summary>Says that events were lost before this sub-buffer. A full one has no room for their number: its first event then goes into one of its own, which has.</summary>
    /// <returns>Whether it was split, and <paramref name="rest"/>, of the same size, comes after it.</returns>
    public static bool MarkLoss(Span<byte> subBuffer, ulong? events, Span<byte> rest)
    {
        if (TryMarkLoss(subBuffer, events))
        {
            return false;
        }
        bool split = TrySplit(subBuffer, rest, 1);
        TryMarkLoss(subBuffer, split ? events : null);
        return split;
    }

    /// <summary>Loss bits go with the events before which it happened.</summary>
    private static void CutTo(Span<byte> subBuffer, int start, ulong startTime, int end)
    {
        SubBuffer header = new(subBuffer);
        Span<byte> lost = stackalloc byte[SubBuffer.LostCountBytes];
        bool keepsLoss = start == SubBuffer.HeaderBytes && header.Missed;
        bool keepsCount = keepsLoss && header.HasLostCount;
        if (keepsCount)
        {
            subBuffer.Slice(SubBuffer.HeaderBytes + header.DataBytes, lost.Length).CopyTo(lost);
        }
        int bytes = end - start;
        subBuffer[start..end].CopyTo(subBuffer[SubBuffer.HeaderBytes..]);
        subBuffer[(SubBuffer.HeaderBytes + bytes)..].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(subBuffer, startTime);
        WriteCommit(subBuffer, keepsLoss ? CommitOf(header, bytes) : (uint)bytes);
        if (keepsCount)
        {
            lost.CopyTo(subBuffer[(SubBuffer.HeaderBytes + bytes)..]);
        }
    }

    /// <summary>A count without the flag would be none.</summary>
    private static uint CommitOf(in SubBuffer header, int bytes) =>
        (uint)bytes | (header.Missed ? SubBuffer.MissedEvents | (header.HasLostCount ? SubBuffer.MissedStored : 0) : 0);

    private static void WriteCommit(Span<byte> subBuffer, uint commit) => BinaryPrimitives.WriteUInt64LittleEndian(subBuffer[8..], commit);
}
