using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>The stored stream of one vCPU, with its end fixed when it was opened.</summary>
internal sealed class VcpuRecording
{
    /// <summary>A last segment that retention or a crash left without a slot says nothing; looking further back than this would be of no use.</summary>
    public const int MostEmptySegments = 8;

    private readonly SegmentFile[] _segments;

    private VcpuRecording(int number, SegmentFile[] segments, int newestSegment, long slotsInNewest, ulong? newest, MemoryJoint? memory = null)
    {
        Memory = memory;
        Number = number;
        _segments = segments;
        NewestSegment = newestSegment;
        SlotsInNewest = slotsInNewest;
        Newest = newest;
    }

    public int Number { get; }

    public IReadOnlyList<SegmentFile> Segments => _segments;

    /// <summary>Index of the last segment of the stream that has a slot; -1 where there is none. What may follow is so damaged that nothing of it can be read.</summary>
    public int NewestSegment { get; }

    /// <summary>Slots of it that belong to this recording.</summary>
    public long SlotsInNewest { get; }

    /// <summary>Where a case goes on with what it read out of the guest's memory; null where there is only the stream.</summary>
    public MemoryJoint? Memory { get; }

    /// <summary>Trace clock of the newest event; null when nothing is stored.</summary>
    public ulong? Newest { get; }

    /// <summary>A vCPU of which all that is known is that it lost events.</summary>
    public static VcpuRecording Empty(int number) => new(number, [], -1, 0, null);

    /// <param name="folder">Of the vCPU's segments.</param>
    /// <returns>Null when nothing is stored.</returns>
    public static VcpuRecording? TryOpen(string folder, int number)
    {
        SegmentFile[] segments = SegmentFile.FindAll(folder);
        List<SegmentFile> damaged = [];
        for (int i = segments.Length - 1; i >= Math.Max(0, segments.Length - MostEmptySegments); i--)
        {
            using ISegmentReader? last = segments[i].TryOpen();
            if (last is { Slots: > 0 })
            {
                return new VcpuRecording(number, [.. segments[..(i + 1)], .. damaged], i, last.Slots, last.NewestEvent(new byte[segments[i].SubBufferBytes]));
            }
            if (last is DamagedReader)
            {
                damaged.Insert(0, segments[i]);
            }
        }
        return null;
    }

    /// <summary>The stream, and after it what was found in the guest's memory.</summary>
    /// <param name="stream">Null when nothing is stored.</param>
    /// <param name="memory">Never empty.</param>
    /// <param name="from">Trace clock: what is older in memory is in the stream.</param>
    /// <param name="loss">What lies between the two.</param>
    public static VcpuRecording Join(int number, VcpuRecording? stream, IReadOnlyList<SegmentFile> memory, ulong from, EventLoss loss)
    {
        IReadOnlyList<SegmentFile> stored = stream?.Segments ?? [];
        // Segments are searched by their times: those of the memory come last, whatever a guest stamps.
        ulong least = stored.Count > 0 ? stored[^1].First : 0;
        using ISegmentReader? last = memory[^1].TryOpen();
        ulong newest = last is { Slots: > 0 } ? last.NewestEvent(new byte[memory[^1].SubBufferBytes]) : 0;
        return new VcpuRecording(
            number, [.. stored, .. memory.Select(m => m with { First = Math.Max(m.First, least) })], stream?.NewestSegment ?? -1, stream?.SlotsInNewest ?? 0,
            Math.Max(newest, stream?.Newest ?? 0),
            new MemoryJoint(stored.Count, from, loss));
    }

    /// <summary>How many slots of a segment belong to this recording.</summary>
    /// <param name="slots">That it has by now.</param>
    public long SlotsOf(int index, long slots) => index == NewestSegment ? Math.Min(slots, SlotsInNewest) : slots;

    /// <summary>Of the stream and of what is joined to it: sidecars where they are, else walked.</summary>
    public long CountEvents()
    {
        long events = 0;
        for (int i = 0; i < _segments.Length; i++)
        {
            using ISegmentReader? segment = _segments[i].TryOpen();
            long slots = SlotsOf(i, segment?.Slots ?? 0);
            if (SegmentSum.TryRead(_segments[i].FilePath) is SegmentSummary sum && sum.Slots == slots)
            {
                events = Saturating.Add(events, Math.Max(0, sum.Events));
                continue;
            }
            SlotBuffer slot = new();
            slot.Resize(_segments[i].SubBufferBytes);
            for (long at = 0; at < slots; at++)
            {
                if (slot.TryRead(segment!, at))
                {
                    SubBufferEvents.TryCount(slot.Bytes.Slice(SubBuffer.HeaderBytes, new SubBuffer(slot.Bytes).DataBytes), out int count);
                    events += count;
                }
            }
        }
        return events;
    }

    public SubBufferReader Read(TraceRange range, IEnumerable<PlacedLoss> losses) => new(this, range, losses);
}

/// <summary>The place where a stored stream ends and what was read out of the guest's memory begins.</summary>
/// <param name="Index">Of the first segment from memory.</param>
/// <param name="From">Trace clock: what is older of them is in the stream.</param>
/// <param name="Loss">What lies between the two: read from the ring, and never stored.</param>
internal readonly record struct MemoryJoint(int Index, ulong From, EventLoss Loss);
