using VsockPair.History;
using VsockPair.Protocol;

namespace VsockPair.Export;

/// <summary>
/// The one size that all pages of a .dat have. A ring that was made anew in the same boot may have had other sub-buffers: the smaller ones fit into pages of the largest,
/// the rest of which stays a hole; but one large one among many small ones, which a guest needs only to send, would make a file of a gigabyte of 8 MiB.
/// </summary>
internal static class PageSize
{
    /// <summary>How much larger than what is stored a file may be that is copied with its holes.</summary>
    private const int MostGrowth = 4;

    /// <summary>The largest of the range that keeps the file in proportion. Larger sub-buffers are divided.</summary>
    public static int For(ExportSource source)
    {
        SegmentFile[] files = [.. source.Recording.Vcpus.SelectMany(v => InRange(v, source.Range))];
        if (files.Length == 0 || files.All(f => f.SubBufferBytes == files[0].SubBufferBytes))
        {
            return files.Length == 0 ? Wire.MinSubBufferBytes : files[0].SubBufferBytes;
        }
        Dictionary<int, long> slots = [];
        foreach (SegmentFile file in files)
        {
            using ISegmentReader? segment = file.TryOpen();
            slots[file.SubBufferBytes] = slots.GetValueOrDefault(file.SubBufferBytes) + (segment?.Slots ?? 0);
        }
        long stored = slots.Sum(s => s.Key * s.Value);
        return slots.Keys.OrderDescending().First(size => size == slots.Keys.Min() || slots.Sum(s => Math.Max(s.Key, size) * s.Value) <= MostGrowth * stored);
    }

    private static IEnumerable<SegmentFile> InRange(VcpuRecording vcpu, TraceRange range) =>
        vcpu.Segments.Skip(SegmentFile.IndexAt(vcpu.Segments, range.From)).TakeWhile(s => s.First <= range.To);
}
