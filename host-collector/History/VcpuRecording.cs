namespace VsockPair.History;

/// <summary>The stored stream of one vCPU, with its end fixed when it was opened.</summary>
internal sealed class VcpuRecording
{
    /// <summary>A last segment that retention or a crash left without a slot says nothing; looking further back than this would be of no use.</summary>
    public const int MostEmptySegments = 8;

    private readonly SegmentFile[] _segments;

    private VcpuRecording(int number, SegmentFile[] segments, long slotsInLast, ulong newest)
    {
        Number = number;
        _segments = segments;
        SlotsInLast = slotsInLast;
        Newest = newest;
    }

    public int Number { get; }

    public IReadOnlyList<SegmentFile> Segments => _segments;

    /// <summary>Slots of the last segment that belong to this recording.</summary>
    public long SlotsInLast { get; }

    /// <summary>Trace clock of the newest event.</summary>
    public ulong Newest { get; }

    /// <param name="folder">Of the vCPU's segments.</param>
    /// <returns>Null when nothing is stored.</returns>
    public static VcpuRecording? TryOpen(string folder, int number)
    {
        SegmentFile[] segments = SegmentFile.FindAll(folder);
        for (int i = segments.Length - 1; i >= Math.Max(0, segments.Length - MostEmptySegments); i--)
        {
            using ISegmentReader? last = segments[i].TryOpen();
            if (last is { Slots: > 0 })
            {
                return new VcpuRecording(number, segments[..(i + 1)], last.Slots, last.NewestEvent(new byte[segments[i].SubBufferBytes]));
            }
        }
        return null;
    }

    public SubBufferReader Read(TraceRange range, IEnumerable<PlacedLoss> losses) => new(this, range, losses);
}
