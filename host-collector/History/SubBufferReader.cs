using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>
/// The sub-buffers of one vCPU in a range, oldest first, each with the losses before it that the kernel could not tell of. The first and the last one hold only the
/// events in the range. What it reads of the files is what it gives, two headers per binary step, and nothing else.
/// </summary>
internal sealed class SubBufferReader : ISubBufferSource
{
    private readonly VcpuRecording _vcpu;
    private readonly TraceRange _range;
    private readonly Queue<PlacedLoss> _losses;
    private readonly SlotBuffer _slot = new();
    private ISegmentReader? _segment;
    private int _index;
    private long _next;
    private long _end;
    private bool _inMemory;
    private EventLoss _beforeMemory;
    private EventLoss _missing;
    private ulong? _ringUntil;

    public SubBufferReader(VcpuRecording vcpu, TraceRange range, IEnumerable<PlacedLoss> losses)
    {
        _vcpu = vcpu;
        _range = range;
        _losses = new Queue<PlacedLoss>(losses.OrderBy(l => l.After));
        _beforeMemory = vcpu.Memory?.Loss ?? default;
        Seek();
    }

    public int Vcpu => _vcpu.Number;

    public Span<byte> SubBuffer => _slot.Bytes;

    public ulong TimeStamp { get; private set; }

    public EventLoss Loss { get; private set; }

    public Damage Damage { get; private set; }

    public bool TryReadNext()
    {
        while (true)
        {
            if (_segment is null || _next >= _end)
            {
                if (!TryOpenNext())
                {
                    TakeLosses(_range.To);
                    return false;
                }
                continue;
            }
            if (!_slot.TryRead(_segment, _next++))
            {
                TakeDamage();
                continue;
            }
            SubBuffer header = new(_slot.Bytes);
            if (header.TimeStamp > _range.To)
            {
                _index = _vcpu.Segments.Count;
                _next = _end;
                continue;
            }
            TraceRange range = _inMemory ? _range with { From = Math.Max(_range.From, _vcpu.Memory!.Value.From) } : _range;
            bool mayReachOut = header.TimeStamp < range.From || range.To != ulong.MaxValue;
            if (mayReachOut && !SubBufferCut.TryKeep(_slot.Bytes, range))
            {
                _missing = default;
                SkipLosses(header.TimeStamp);
                NoteCut();
                continue;
            }
            TimeStamp = new SubBuffer(_slot.Bytes).TimeStamp;
            bool hasNumber = TakeLosses(header.TimeStamp);
            TakeFlag(header.TimeStamp, hasNumber);
            NoteCut();
            if (_inMemory)
            {
                Loss = Loss.And(_beforeMemory);
                _beforeMemory = default;
            }
            return true;
        }
    }

    public void Dispose() => _segment?.Dispose();

    private void Seek()
    {
        if (_range.From == 0)
        {
            return;
        }
        _index = SegmentFile.IndexAt(_vcpu.Segments, _range.From);
        if (_index >= _vcpu.Memory?.Index && _vcpu.Segments[_index].First <= _range.From)
        {
            _beforeMemory = default;
        }
        if (TryOpenNext())
        {
            _next = _segment!.SlotAt(_range.From);
        }
        // Losses between the first sub-buffer and the range belong to neither.
        SkipLosses(_segment is not null && _segment.HeaderOf(_next) is { } first ? Math.Min(first.TimeStamp, _range.From) : _range.From);
    }

    private bool TryOpenNext()
    {
        while (_index < _vcpu.Segments.Count)
        {
            _segment?.Dispose();
            int index = _index++;
            SegmentFile file = _vcpu.Segments[index];
            _segment = file.TryOpen();
            if (_segment is null)
            {
                _missing = _missing.And(EventLoss.Unknown);
                continue;
            }
            if (_segment is DamagedReader)
            {
                TakeDamage();
            }
            _next = 0;
            _end = _vcpu.SlotsOf(index, _segment.Slots);
            _inMemory = index >= _vcpu.Memory?.Index;
            _slot.Resize(file.SubBufferBytes);
            return true;
        }
        return false;
    }

    /// <summary>Of the segment that is open.</summary>
    private void TakeDamage()
    {
        Damage = Damage.And(_vcpu.Segments[_index - 1]);
        _missing = _missing.And(EventLoss.Unknown);
    }

    /// <summary>What was cut off a sub-buffer is missing before the next one.</summary>
    private void NoteCut()
    {
        if (_slot.IsCut)
        {
            TakeDamage();
        }
    }

    private void SkipLosses(ulong before)
    {
        while (_losses.TryPeek(out PlacedLoss loss) && loss.After < before)
        {
            _losses.Dequeue();
            if (loss.Last >= _range.From)
            {
                _missing = _missing.And(loss.Loss);
            }
        }
    }

    /// <returns>Whether the number of a loss that the ring had is among them.</returns>
    private bool TakeLosses(ulong before)
    {
        bool hasRing = false;
        Loss = _missing;
        _missing = default;
        while (_losses.TryPeek(out PlacedLoss loss) && loss.After < before)
        {
            _losses.Dequeue();
            Loss = Loss.And(loss.Loss);
            hasRing |= loss.RingUntil is not null;
            _ringUntil = loss.RingUntil ?? _ringUntil;
        }
        return hasRing;
    }

    /// <summary>A sub-buffer that is full says that events were lost and not how many: the ledger does.</summary>
    private void TakeFlag(ulong time, bool hasNumber)
    {
        SubBuffer header = new(_slot.Bytes);
        if (header.Missed && !header.HasLostCount && (hasNumber || time <= _ringUntil))
        {
            SubBufferCut.ClearLoss(_slot.Bytes);
            Loss = Loss.And(new EventLoss(true, 0));
        }
    }
}
