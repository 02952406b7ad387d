using VsockPair.Clocks;
using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>What the ledgers declare lost of one boot, per vCPU, also of one of which nothing is stored.</summary>
internal sealed class LossMap
{
    private readonly Dictionary<string, VcpuLosses> _vcpus = new(StringComparer.Ordinal);

    public static LossMap Load(StoredGuest guest, BootRecording recording, ClockModel? clock, TextWriter remarks)
    {
        LossMap map = new();
        foreach (VcpuRecording vcpu in recording.Vcpus)
        {
            map._vcpus[StorePaths.StreamName(vcpu.Number)] = new VcpuLosses(vcpu);
        }
        if (recording.IsPrevious)
        {
            return map;
        }
        foreach (LossRecord loss in JsonLines.Read(StorePaths.Losses(recording.Boot.Folder), StoreJson.Default.LossRecord, remarks))
        {
            map.TryOf(loss.Stream)?.Add(loss, clock);
        }
        // Retention's lines: they outlive the boots, and a line may be there a moment before its file goes.
        foreach (LossRecord loss in JsonLines.Read(StorePaths.Losses(guest.Folder), StoreJson.Default.LossRecord, remarks))
        {
            if (loss.Boot == recording.Boot.Name && map.TryOf(loss.Stream) is VcpuLosses losses && !losses.HasAny(loss.Files))
            {
                losses.Add(loss, clock);
            }
        }
        return map;
    }

    public VcpuLosses Of(VcpuRecording vcpu) => _vcpus[StorePaths.StreamName(vcpu.Number)];

    /// <summary>With the vCPUs of which all was lost.</summary>
    public BootRecording Complete(BootRecording recording) => recording.With(_vcpus.Values.Select(v => v.Vcpu));

    /// <summary>Trace clock of the last loss that has a place.</summary>
    public ulong? Newest => _vcpus.Values.Max(v => v.Newest);

    private VcpuLosses? TryOf(string stream)
    {
        if (!_vcpus.TryGetValue(stream, out VcpuLosses? losses) && StorePaths.TryParseStream(stream, out int number))
        {
            losses = new VcpuLosses(VcpuRecording.Empty(number));
            _vcpus.Add(stream, losses);
        }
        return losses;
    }
}

/// <summary>The losses of one vCPU. Lines of retention between the same two segments are one loss, so a week's ledger takes little memory.</summary>
internal sealed class VcpuLosses(VcpuRecording vcpu)
{
    /// <summary>Behind all events, for what has no time.</summary>
    private const ulong AtEnd = ulong.MaxValue - 1;

    private readonly HashSet<string> _files = [.. vcpu.Segments.Select(s => Path.GetFileName(s.FilePath))];
    private readonly SortedDictionary<ulong, (EventLoss Loss, ulong? Last)> _placed = [];
    private readonly RingLosses _ring = new(vcpu);
    private (TraceRange Range, IReadOnlyList<PlacedLoss> Losses)? _ringPlaced;

    public VcpuRecording Vcpu => vcpu;

    /// <summary>In events, over the whole boot.</summary>
    public long Ring { get; private set; }

    public long Transport { get; private set; }

    public long Retention { get; private set; }

    public ulong? Newest { get; private set; }

    /// <summary>All that may concern a range.</summary>
    public IEnumerable<PlacedLoss> PlacedIn(TraceRange range)
    {
        if (_ringPlaced?.Range != range)
        {
            _ringPlaced = (range, _ring.Place(range));
        }
        return _placed.Select(p => new PlacedLoss(p.Key, p.Value.Loss, p.Value.Last)).Concat(_ringPlaced.Value.Losses);
    }

    public bool HasAny(IReadOnlyList<string>? names) => names?.Any(_files.Contains) == true;

    public void Add(LossRecord loss, ClockModel? clock)
    {
        long events = Math.Max(0, loss.Events ?? 0);
        switch (loss.Source)
        {
            case LossSources.Ring:
                Ring = Saturating.Add(Ring, events);
                _ring.Add(Heard(loss.Last ?? loss.First ?? HostTime(loss, clock)) ?? AtEnd, (ulong)events);
                return;
            case LossSources.Retention:
                Retention = Saturating.Add(Retention, events);
                Place(BeforeNextSegment(loss), loss);
                return;
            default:
                Transport = Saturating.Add(Transport, events);
                Place(Heard(loss.First ?? HostTime(loss, clock)) ?? 0, loss);
                Heard(loss.Last);
                return;
        }
    }

    /// <summary>What the ring lost over the whole boot, where that is known better than from what the host has heard.</summary>
    public void RingIs(long events)
    {
        _ring.Add(AtEnd, (ulong)Math.Max(0, events - Ring));
        Ring = events;
    }

    /// <summary>What was read from the ring and never stored, beyond what the ledger says.</summary>
    /// <param name="after">Trace clock; null where it stands elsewhere already.</param>
    public void AddTransport(EventLoss loss, ulong? after)
    {
        Transport = Saturating.Add(Transport, (long)Math.Min(loss.Events ?? 0, long.MaxValue));
        if (after is ulong place)
        {
            (EventLoss known, ulong? last) = _placed.GetValueOrDefault(place);
            _placed[place] = (known.And(loss), Latest(last, place));
        }
    }

    private static ulong? HostTime(LossRecord loss, ClockModel? clock) => clock is null ? null : (ulong)Math.Max(0, clock.BootAtHost(loss.Time));

    private ulong? Heard(ulong? time)
    {
        Newest = Latest(Newest, time);
        return time;
    }

    private static ulong? Latest(ulong? a, ulong? b) => a is null || b > a ? b : a;

    /// <summary>Just before the segment that follows a removed one: all that was removed between two segments is one gap.</summary>
    private ulong BeforeNextSegment(LossRecord loss)
    {
        ulong last = loss.Last ?? loss.First ?? 0;
        if (vcpu.Segments.Count == 0)
        {
            return last;
        }
        int index = SegmentFile.IndexAt(vcpu.Segments, last);
        ulong next = vcpu.Segments[index].First > last ? vcpu.Segments[index].First
            : index + 1 < vcpu.Segments.Count ? vcpu.Segments[index + 1].First
            : Saturating.Add(last, 1);
        return next - 1;
    }

    private void Place(ulong after, LossRecord loss)
    {
        (EventLoss known, ulong? last) = _placed.GetValueOrDefault(after);
        EventLoss more = EventLoss.Of(loss.Events is long events ? (ulong)Math.Max(0, events) : null);
        _placed[after] = (known.And(more), Latest(last, loss.Last));
    }
}
