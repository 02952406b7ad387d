using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>
/// The events of all vCPUs in the order of their times, of equal ones that of the lowest vCPU first, as trace-cmd has them. Holds one sub-buffer of each vCPU.
/// </summary>
internal sealed class EventWalk : IDisposable
{
    private readonly List<VcpuEvents> _vcpus = [];
    private readonly PriorityQueue<VcpuEvents, (ulong Time, int Vcpu)> _next = new();
    private readonly List<VcpuEvents> _ended = [];
    private byte[] _current = new byte[1024];
    private int _length;

    public EventWalk(IEnumerable<ISubBufferSource> sources)
    {
        foreach (ISubBufferSource source in sources)
        {
            Add(source);
        }
    }

    public int Vcpu { get; private set; }

    public ulong TimeStamp { get; private set; }

    /// <summary>What was lost on this vCPU just before this event.</summary>
    public EventLoss Loss { get; private set; }

    public RingEvent Current => new() { TimeStamp = TimeStamp, Payload = _current.AsSpan(0, _length) };

    /// <summary>The event that comes after this one on any vCPU; default when this is the last, or something was lost before that one: the two are no pair.</summary>
    public RingEvent Next => _next.TryPeek(out VcpuEvents? vcpu, out _) && !vcpu.Loss.Any ? new() { TimeStamp = vcpu.TimeStamp, Payload = vcpu.Payload } : default;

    /// <summary>When that was; null when there is none.</summary>
    public ulong? NextTime => _next.TryPeek(out VcpuEvents? vcpu, out _) ? vcpu.TimeStamp : null;

    public Damage Damage => _vcpus.Aggregate(default(Damage), (sum, vcpu) => sum.And(vcpu.Damage));

    /// <summary>Once the walk is over: what was lost after the last event of a vCPU.</summary>
    public IEnumerable<(int Vcpu, EventLoss Loss)> LossesAtEnd => _vcpus.Where(v => v.Loss.Any).Select(v => (v.Vcpu, v.Loss));

    /// <summary>The owner from now on.</summary>
    public void Add(ISubBufferSource source)
    {
        VcpuEvents vcpu = new(source);
        _vcpus.Add(vcpu);
        Begin(vcpu);
    }

    /// <summary>Goes on with the vCPUs that had come to their end and have more by now.</summary>
    public void Resume()
    {
        VcpuEvents[] ended = [.. _ended];
        _ended.Clear();
        foreach (VcpuEvents vcpu in ended)
        {
            Begin(vcpu);
        }
    }

    public bool TryReadNext()
    {
        if (!_next.TryPeek(out VcpuEvents? vcpu, out _))
        {
            return false;
        }
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
            _next.DequeueEnqueue(vcpu, (vcpu.TimeStamp, vcpu.Vcpu));
        }
        else
        {
            _ended.Add(_next.Dequeue());
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

    private void Begin(VcpuEvents vcpu)
    {
        if (vcpu.TryReadNext())
        {
            _next.Enqueue(vcpu, (vcpu.TimeStamp, vcpu.Vcpu));
        }
        else
        {
            _ended.Add(vcpu);
        }
    }
}
