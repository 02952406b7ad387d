using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>A segment in its compressed form. What a disk has damaged of it reads as slots without a byte, which are none: the rest is still of use.</summary>
internal sealed class CompressedReader(CompressedSegment segment, int subBufferBytes) : ISegmentReader
{
    public long Slots => segment.ContentBytes / subBufferBytes;

    public void Refresh()
    {
        // Only what is closed is compressed.
    }

    /// <returns>Null when it is not there, a <see cref="DamagedReader"/> when no slot of it can be found.</returns>
    public static ISegmentReader? TryOpen(string path, int subBufferBytes)
    {
        try
        {
            return CompressedSegment.TryOpen(path, subBufferBytes) is CompressedSegment segment ? new CompressedReader(segment, subBufferBytes) : null;
        }
        catch (DamagedSegmentException)
        {
            return new DamagedReader();
        }
    }

    public int Read(long slot, int skip, Span<byte> target)
    {
        try
        {
            return segment.Read(slot * subBufferBytes + skip, target);
        }
        catch (DamagedSegmentException)
        {
            return 0;
        }
    }

    public void Dispose() => segment.Dispose();
}
