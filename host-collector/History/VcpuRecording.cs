using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>The stored stream of one vCPU, with its end fixed when it was opened.</summary>
internal sealed class VcpuRecording
{
    /// <summary>A last segment that retention or a crash left without a slot says nothing; looking further back than this would be of no use.</summary>
    public const int MostEmptySegments = 8;

    private readonly SegmentFile[] _segments;

    private VcpuRecording(int number, SegmentFile[] segments, int newestSegment, long slotsInNewest, ulong? newest)
    {
        Number = number;
        _segments = segments;
        NewestSegment = newestSegment;
        SlotsInNewest = slotsInNewest;
        Newest = newest;
    }

    public int Number { get; }

    public IReadOnlyList<SegmentFile> Segments => _segments;

    /// <summary>Index of the last segment that has a slot. What may follow is so damaged that nothing of it can be read.</summary>
    public int NewestSegment { get; }

    /// <summary>Slots of it that belong to this recording.</summary>
    public long SlotsInNewest { get; }

    /// <summary>Trace clock of the newest event; null when nothing is stored.</summary>
    public ulong? Newest { get; }

    /// <summary>A vCPU of which all that is known is that it lost events.</summary>
    public static VcpuRecording Empty(int number) => new(number, [], -1, 0, null);

    /// <summary>Null when nothing is stored.</summary>
    public static VcpuRecording? TryOpen(StoredBoot boot, int number)
    {
        SegmentFile[] segments = SegmentFile.FindAll(StorePaths.Vcpu(boot.Folder, number));
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

    public SubBufferReader Read(TraceRange range, IEnumerable<PlacedLoss> losses) => new(this, range, losses);
}
