using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>
/// The events of all vCPUs in the order of their times, of equal ones that of the lowest vCPU first, as trace-cmd has them. Holds one sub-buffer of each vCPU.
/// </summary>
internal sealed class EventWalk : IDisposable
{
    private readonly VcpuEvents[] _vcpus;
    private readonly PriorityQueue<int, (ulong Time, int Vcpu)> _next = new();
    private byte[] _current = new byte[1024];
    private int _length;

    /// <param name="readers">In the order of the vCPUs' numbers.</param>
    public EventWalk(IEnumerable<SubBufferReader> readers)
    {
        _vcpus = [.. readers.Select(r => new VcpuEvents(r))];
        for (int i = 0; i < _vcpus.Length; i++)
        {
            if (_vcpus[i].TryReadNext())
            {
                _next.Enqueue(i, (_vcpus[i].TimeStamp, i));
            }
        }
    }

    public int Vcpu { get; private set; }

    public ulong TimeStamp { get; private set; }

    /// <summary>What was lost on this vCPU just before this event.</summary>
    public EventLoss Loss { get; private set; }

    public RingEvent Current => new() { TimeStamp = TimeStamp, Payload = _current.AsSpan(0, _length) };

    /// <summary>The event that comes after this one on any vCPU; default when this is the last.</summary>
    public RingEvent Next => _next.TryPeek(out int index, out _) ? new() { TimeStamp = _vcpus[index].TimeStamp, Payload = _vcpus[index].Payload } : default;

    public long Damaged => _vcpus.Sum(v => v.Damaged);

    /// <summary>Once the walk is over: what was lost after the last event of a vCPU.</summary>
    public IEnumerable<(int Vcpu, EventLoss Loss)> LossesAtEnd => _vcpus.Where(v => v.Loss.Any).Select(v => (v.Vcpu, v.Loss));

    public bool TryReadNext()
    {
        if (!_next.TryPeek(out int index, out _))
        {
            return false;
        }
        VcpuEvents vcpu = _vcpus[index];
        Vcpu = vcpu.Vcpu;
        TimeStamp = vcpu.TimeStamp;
        Loss = vcpu.Loss;
        _length = vcpu.Payload.Length;
        if (_current.Length < _length)
        {
            _current = new byte[_length];
        }
        // A copy: the vCPU's next event may come from its next sub-buffer, which takes the place of this one.
        vcpu.Payload.CopyTo(_current);
        if (vcpu.TryReadNext())
        {
            _next.DequeueEnqueue(index, (vcpu.TimeStamp, index));
        }
        else
        {
            _next.Dequeue();
        }
        return true;
    }

    public void Dispose()
    {
        foreach (VcpuEvents vcpu in _vcpus)
        {
            vcpu.Dispose();
        }
    }
}
