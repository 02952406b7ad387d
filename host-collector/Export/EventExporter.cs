using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.Tracing;

namespace VsockPair.Export;

/// <summary>The formats that give every event its meaning: all vCPUs' events in the order of their times, each loss where it happened.</summary>
internal abstract class EventExporter : IExporter
{
    /// <summary>Events between two looks at the clock and the user.</summary>
    private const int Stride = 1024;

    public ExportCounts Write(ExportSource source, Stream target, ProgressBar progress, CancellationToken stop)
    {
        ExportCounts counts = new();
        EventCatalog catalog = new(source.Metadata.Names, source.Metadata.Read);
        counts.Faults.AddRange(catalog.Faults);
        long written = 0;
        Begin(source, catalog, target);
        using EventWalk walk = source.Walk();
        while (walk.TryReadNext())
        {
            if (counts.Events++ % Stride == 0)
            {
                stop.ThrowIfCancellationRequested();
                written = target.CanSeek ? target.Position : written;
                progress.Show(source.FractionAt(walk.TimeStamp), written);
            }
            if (walk.Loss.Any)
            {
                counts.Add(walk.Loss);
                WriteLoss(walk.Vcpu, walk.TimeStamp, walk.Loss);
            }
            RingEvent next = walk.Next;
            WriteEvent(walk.Vcpu, walk.Current, next);
        }
        foreach ((int vcpu, EventLoss loss) in walk.LossesAtEnd)
        {
            counts.Add(loss);
            WriteLoss(vcpu, null, loss);
        }
        counts.Damage = walk.Damage;
        End();
        return counts;
    }

    protected abstract void Begin(ExportSource source, EventCatalog catalog, Stream target);

    /// <param name="next">The event that comes next on any vCPU; default when there is none.</param>
    protected abstract void WriteEvent(int vcpu, in RingEvent ringEvent, in RingEvent next);

    /// <param name="before">Trace clock of the event that follows on this vCPU; null when none does.</param>
    protected abstract void WriteLoss(int vcpu, ulong? before, EventLoss loss);

    protected abstract void End();
}
