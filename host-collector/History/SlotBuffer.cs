using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>One slot of a segment in memory, of which only what is used is read.</summary>
internal sealed class SlotBuffer
{
    /// <summary>A tail's slot is mostly hole: what is used of it is read, and most often it is no more than this.</summary>
    private const int FirstReadBytes = 4096;

    private byte[] _slot = [];
    private int _used;

    /// <summary>The whole slot; what is not used of it is zero, as long as the caller has not changed it.</summary>
    public Span<byte> Bytes => _slot;

    /// <summary>Whether events of this sub-buffer, which followed those that are in it, could not be read.</summary>
    public bool IsCut { get; private set; }

    public void Resize(int subBufferBytes)
    {
        if (_slot.Length != subBufferBytes)
        {
            _slot = new byte[subBufferBytes];
            _used = 0;
        }
    }

    /// <returns>False when the slot holds no sub-buffer: no length that can be, or nothing at all where the kernel would have put a time.</returns>
    public bool TryRead(ISegmentReader segment, long slot)
    {
        int first = Math.Min(FirstReadBytes, _slot.Length);
        int have = segment.Read(slot, 0, _slot.AsSpan(0, first));
        SubBuffer header = have < SubBuffer.HeaderBytes ? default : new(_slot);
        int used = have < SubBuffer.HeaderBytes || !header.FitsInto(_slot.Length) ? 0 : header.UsedBytes;
        if (used > have)
        {
            have += segment.Read(slot, have, _slot.AsSpan(have, used - have));
        }
        bool whole = used > 0 && have >= used && (header.TimeStamp > 0 || header.DataBytes > 0);
        int clean = whole ? used : 0;
        _slot.AsSpan(clean, Math.Max(Math.Max(_used, have), clean) - clean).Clear();
        _used = clean;
        if (whole)
        {
            IsCut = !SubBufferCut.TryMend(_slot);
            _used = new SubBuffer(_slot).UsedBytes;
        }
        return whole;
    }
}
