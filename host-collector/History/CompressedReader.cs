using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>A segment in its compressed form, whose slots are all whole.</summary>
internal sealed class CompressedReader(CompressedSegment segment, int subBufferBytes) : ISegmentReader
{
    public long Slots => segment.ContentBytes / subBufferBytes;

    public static CompressedReader? TryOpen(string path, int subBufferBytes) =>
        CompressedSegment.TryOpen(path, subBufferBytes) is CompressedSegment segment ? new CompressedReader(segment, subBufferBytes) : null;

    public int Read(long slot, int skip, Span<byte> target) => segment.Read(slot * subBufferBytes + skip, target);

    public void Dispose() => segment.Dispose();
}
