using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>One segment of a vCPU's stream, known by its name alone until it is opened.</summary>
/// <param name="FilePath">Of its uncompressed form, whichever it has.</param>
/// <param name="First">Trace clock of its first sub-buffer, or a little more where names met.</param>
internal sealed record SegmentFile(string FilePath, ulong First, int SubBufferBytes)
{
    /// <summary>The segments in a stream's folder, oldest first: names rise with time, whatever a guest stamps.</summary>
    public static SegmentFile[] FindAll(string folder)
    {
        if (!Directory.Exists(folder))
        {
            return [];
        }
        List<SegmentFile> found = [];
        foreach (string path in SegmentForms.In(folder))
        {
            if (StorePaths.TryParseSegmentName(Path.GetFileName(path.AsSpan()), out ulong first, out int subBufferBytes)
                && subBufferBytes is >= Protocol.Wire.MinSubBufferBytes and <= Protocol.Wire.MaxSubBufferBytes)
            {
                found.Add(new SegmentFile(path, first, subBufferBytes));
            }
        }
        return [.. found.OrderBy(f => f.First).ThenBy(f => f.FilePath, StringComparer.Ordinal)];
    }

    /// <summary>Null when retention took the file between its listing and now; a <see cref="DamagedReader"/> when nothing can be made of it any more.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public ISegmentReader? TryOpen() =>
        PagesReader.TryOpen(FilePath, SubBufferBytes) ?? CompressedReader.TryOpen(SegmentForms.CompressedPath(FilePath), SubBufferBytes);

    /// <summary>Trace clock of the newest sub-buffer in a stream's folder; null when there is none.</summary>
    public static ulong? NewestIn(string folder)
    {
        foreach (SegmentFile file in FindAll(folder).Reverse())
        {
            if (SegmentSum.TryRead(file.FilePath) is SegmentSummary sum)
            {
                return sum.Last;
            }
            using ISegmentReader? segment = file.TryOpen();
            if (segment is { Slots: > 0 })
            {
                return segment.HeaderOf(segment.Slots - 1)?.TimeStamp;
            }
        }
        return null;
    }

    /// <summary>The last one that may hold what was recorded at <paramref name="time"/>; the first one where all are later.</summary>
    public static int IndexAt(IReadOnlyList<SegmentFile> segments, ulong time)
    {
        int low = 0;
        int high = segments.Count;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            (low, high) = segments[middle].First <= time ? (middle, high) : (low, middle);
        }
        return low;
    }
}
