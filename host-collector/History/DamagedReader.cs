namespace VsockPair.History;

/// <summary>A segment that is there and of which no slot can be found.</summary>
internal sealed class DamagedReader : ISegmentReader
{
    public long Slots => 0;

    public void Refresh()
    {
        // Only what is closed is compressed, and only what is compressed can be damaged as a whole.
    }

    public int Read(long slot, int skip, Span<byte> target) => 0;

    public void Dispose()
    {
    }
}
