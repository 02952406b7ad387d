using VsockPair.Clocks;
using VsockPair.Commands;
using VsockPair.History;
using VsockPair.Storage;

namespace VsockPair.Export;

/// <summary>What is exported: a stretch of one boot of one guest, and all that explains it.</summary>
internal sealed record ExportSource
{
    public required StoredGuest Guest { get; init; }

    public required BootRecording Recording { get; init; }

    public required TraceRange Range { get; init; }

    public required LossMap Losses { get; init; }

    public required BootMetadata Metadata { get; init; }

    /// <summary>Null when nothing places this boot in host time.</summary>
    public required ClockModel? Clock { get; init; }

    public ExportTimes Times { get; init; } = ExportTimes.Guest;

    public StoredBoot Boot => Recording.Boot;

    /// <summary>One more than the highest number of a vCPU.</summary>
    public int VcpuLimit => Recording.Vcpus[^1].Number + 1;

    /// <summary>From the oldest stored to the newest event that is meant, as far as a clock can show such times.</summary>
    public (long From, long To) ClockStretch
    {
        get
        {
            (ulong from, ulong to) = Stretch;
            return ((long)Math.Min(from, ClockPoint.FromLimit), (long)Math.Min(to, ClockPoint.FromLimit));
        }
    }

    private TraceRange Stretch => new(Math.Max(Range.From, Recording.Oldest ?? 0), Math.Min(Range.To, Recording.Newest ?? 0));

    /// <summary>How far a moment is from the beginning of what is exported to its end.</summary>
    public double FractionAt(ulong time)
    {
        (ulong from, ulong to) = Stretch;
        return to <= from || time <= from ? 0 : (double)(time - from) / (to - from);
    }

    public EventWalk Walk() => new(Recording.Vcpus.Select(Read));

    public SubBufferReader Read(VcpuRecording vcpu) => vcpu.Read(Range, Losses.Of(vcpu).PlacedIn(Range));
}

/// <summary>What an export has written.</summary>
internal sealed class ExportCounts
{
    public long Events { get; set; }

    /// <summary>Events that were in range and are not stored, as far as their number is known.</summary>
    public long LostEvents { get; private set; }

    /// <summary>Places where events are missing whose number is unknown.</summary>
    public long LossesUnknown { get; private set; }

    public Damage Damage { get; set; }

    /// <summary>Names of metadata that is there and could not be used.</summary>
    public List<string> Faults { get; } = [];

    public bool IsEmpty => Events == 0 && LostEvents == 0 && LossesUnknown == 0;

    public void Add(EventLoss loss)
    {
        LostEvents = Saturating.Add(LostEvents, (long)Math.Min(loss.Events ?? 0, long.MaxValue));
        LossesUnknown += loss is { Any: true, Events: null } || loss.IsMore ? 1 : 0;
    }
}

/// <summary>One format.</summary>
internal interface IExporter
{
    /// <param name="target">Can seek, unless the format can be streamed.</param>
    /// <exception cref="OperationCanceledException">The user has had enough.</exception>
    ExportCounts Write(ExportSource source, Stream target, ProgressBar progress, CancellationToken stop);
}
