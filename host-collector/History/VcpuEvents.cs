using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>The events of one vCPU, one after the other, over the sub-buffers that hold them.</summary>
internal sealed class VcpuEvents(ISubBufferSource source) : IDisposable
{
    private CursorPlace _place;
    private bool _open;
    private int _offset;
    private int _length;

    public int Vcpu => source.Vcpu;

    public ulong TimeStamp { get; private set; }

    /// <summary>Whatever lost events before this one, or, when there are no more, after the last one.</summary>
    public EventLoss Loss { get; private set; }

    public Damage Damage => source.Damage;

    /// <summary>The event, until the next call of <see cref="TryReadNext"/>.</summary>
    public ReadOnlySpan<byte> Payload => source.SubBuffer.Slice(_offset, _length);

    public bool TryReadNext()
    {
        Loss = default;
        while (true)
        {
            if (_open)
            {
                EventCursor events = new(source.SubBuffer, _place);
                if (events.TryRead(out RingEvent next))
                {
                    _place = events.Place;
                    _length = next.Payload.Length;
                    // A payload ends where its event does.
                    _offset = _place.Position - _length;
                    TimeStamp = next.TimeStamp;
                    return true;
                }
                _open = false;
            }
            if (!source.TryReadNext())
            {
                Loss = Loss.And(source.Loss);
                return false;
            }
            EventCursor first = new(source.SubBuffer);
            Loss = Loss.And(source.Loss).And(EventLoss.Of(first));
            _place = first.Place;
            _open = true;
        }
    }

    public void Dispose() => source.Dispose();
}
