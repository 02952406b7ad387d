using VsockPair.Clocks;
using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>
/// What the ledgers declare lost of one boot, per vCPU. The ring's own losses stand in the sub-buffers as well (their missed bits), which also say where:
/// of the ledger only their sum counts.
/// </summary>
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
            map._vcpus.GetValueOrDefault(loss.Stream)?.Add(loss, clock);
        }
        // Retention's lines: they outlive the boots, and a line may be there a moment before its file goes.
        foreach (LossRecord loss in JsonLines.Read(StorePaths.Losses(guest.Folder), StoreJson.Default.LossRecord, remarks))
        {
            if (loss.Boot == recording.Boot.Name && map._vcpus.TryGetValue(loss.Stream, out VcpuLosses? losses) && !losses.HasAny(loss.Files))
            {
                losses.Add(loss, clock);
            }
        }
        return map;
    }

    public VcpuLosses Of(VcpuRecording vcpu) => _vcpus[StorePaths.StreamName(vcpu.Number)];
}

/// <summary>The losses of one vCPU. Lines of retention between the same two segments are one loss, so a week's ledger takes little memory.</summary>
internal sealed class VcpuLosses(VcpuRecording vcpu)
{
    private readonly HashSet<string> _files = [.. vcpu.Segments.Select(s => Path.GetFileName(s.FilePath))];
    private readonly SortedDictionary<ulong, EventLoss> _placed = [];

    public IEnumerable<PlacedLoss> Placed => _placed.Select(p => new PlacedLoss(p.Key, p.Value));

    /// <summary>In events, over the whole boot.</summary>
    public long Ring { get; private set; }

    public long Transport { get; private set; }

    public long Retention { get; private set; }

    public bool HasAny(IReadOnlyList<string>? names) => names?.Any(_files.Contains) == true;

    public void Add(LossRecord loss, ClockModel? clock)
    {
        long events = Math.Max(0, loss.Events ?? 0);
        switch (loss.Source)
        {
            case LossSources.Ring:
                Ring = Saturating.Add(Ring, events);
                return;
            case LossSources.Retention:
                Retention = Saturating.Add(Retention, events);
                Place(BeforeNextSegment(loss), loss.Events);
                return;
            default:
                Transport = Saturating.Add(Transport, events);
                Place(loss.First ?? (ulong)Math.Max(0, clock?.BootAtHost(loss.Time) ?? 0), loss.Events);
                return;
        }
    }

    /// <summary>What the ring lost over the whole boot, where that is known better than from what the host has heard.</summary>
    public void RingIs(long events) => Ring = events;

    /// <summary>What was read from the ring and never stored, beyond what the ledger says.</summary>
    /// <param name="after">Trace clock; null where it stands elsewhere already.</param>
    public void AddTransport(EventLoss loss, ulong? after)
    {
        Transport = Saturating.Add(Transport, (long)Math.Min(loss.Events ?? 0, long.MaxValue));
        if (after is ulong place)
        {
            _placed[place] = _placed.GetValueOrDefault(place).And(loss);
        }
    }

    /// <summary>Just before the segment that follows a removed one: all that was removed between two segments is one gap.</summary>
    private ulong BeforeNextSegment(LossRecord loss)
    {
        ulong last = loss.Last ?? loss.First ?? 0;
        int index = SegmentFile.IndexAt(vcpu.Segments, last);
        ulong next = vcpu.Segments[index].First > last ? vcpu.Segments[index].First
            : index + 1 < vcpu.Segments.Count ? vcpu.Segments[index + 1].First
            : Saturating.Add(last, 1);
        return next - 1;
    }

    private void Place(ulong after, long? events) =>
        _placed[after] = _placed.GetValueOrDefault(after).And(new EventLoss(true, events is long known ? (ulong)Math.Max(0, known) : null));
}
