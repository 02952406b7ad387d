using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>The events of one vCPU, one after the other, over the sub-buffers that hold them.</summary>
internal sealed class VcpuEvents(SubBufferReader reader) : IDisposable
{
    private CursorPlace _place;
    private bool _open;
    private int _offset;
    private int _length;

    public int Vcpu => reader.Vcpu;

    public ulong TimeStamp { get; private set; }

    /// <summary>Whatever lost events before this one, or, when there are no more, after the last one.</summary>
    public EventLoss Loss { get; private set; }

    /// <summary>Sub-buffers that were not, or not to their end, what they should be.</summary>
    public long Damaged { get; private set; }

    /// <summary>The event, until the next call of <see cref="TryReadNext"/>.</summary>
    public ReadOnlySpan<byte> Payload => reader.SubBuffer.Slice(_offset, _length);

    public bool TryReadNext()
    {
        Loss = default;
        while (true)
        {
            if (_open)
            {
                EventCursor events = new(reader.SubBuffer, _place);
                if (events.TryRead(out RingEvent next))
                {
                    _place = events.Place;
                    _length = next.Payload.Length;
                    // A payload ends where its event does.
                    _offset = _place.Position - _length;
                    TimeStamp = next.TimeStamp;
                    return true;
                }
                Damaged += events.IsMalformed ? 1 : 0;
                _open = false;
            }
            if (!reader.TryReadNext())
            {
                Loss = Loss.And(reader.Loss);
                Damaged += reader.Damaged;
                return false;
            }
            EventCursor first = new(reader.SubBuffer);
            Loss = Loss.And(reader.Loss).And(EventLoss.Of(first));
            _place = first.Place;
            _open = true;
        }
    }

    public void Dispose() => reader.Dispose();
}
