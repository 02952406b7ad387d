using VsockPair.Commands;
using VsockPair.Export;
using VsockPair.History;
using VsockPair.Text;

namespace VsockPair.Cases;

/// <summary><c>trace.dat</c>: the last minutes of the boot that died.</summary>
internal static class TracePart
{
    /// <summary>Of a guest that goes on, so much after the event: clocks have their errors, and what was under way is of interest.</summary>
    private static readonly TimeSpan After = TimeSpan.FromSeconds(5);

    /// <exception cref="MissingPartException">Nothing of it is stored.</exception>
    /// <param name="noMemory">Why the guest's rings were not read, or not all of them; null when they were.</param>
    public static PartContent Write(CaseSource source, string? noMemory, Stream target, CancellationToken stop)
    {
        (ExportSource export, CaseTrace trace) = Choose(source);
        using ProgressBar silent = new(TextWriter.Null, shown: false, source.Time);
        ExportCounts counts = new TraceDatExporter().Write(export, target, silent, stop);
        if (counts.Events == 0)
        {
            throw new MissingPartException($"no event of boot {export.Boot.Name} is stored from its last minutes");
        }
        bool shortened = export.Range.From > FirstWanted(source, export);
        string?[] lacks =
        [
            counts.LostEvents > 0 ? $"{Units.Count(counts.LostEvents)} events were lost" : null,
            counts.LossesUnknown > 0 ? $"an unknown number of events was lost in {Units.Count(counts.LossesUnknown)} places" : null,
            counts.Damage.Places > 0 ? $"the stored files are damaged in {Units.Count(counts.Damage.Places)} places, the first in {counts.Damage.File}" : null,
            shortened ? $"it is shorter than {Units.Duration(source.Limits.Trace)}, which have more than {Units.Bytes(source.Limits.TraceBytes)}" : null,
            counts.Faults.Count > 0 ? $"{counts.Faults.Count} metadata files cannot be used" : null,
            .. MetadataFaults.Of(export.Metadata),
            source.StreamIsWhole || noMemory is null ? null : $"what was left in the rings of the guest's kernel is not all in it: {noMemory}",
        ];
        string?[] sources =
        [
            BootRecording.Open(export.Boot).Newest is null ? null : PartContent.FromStream,
            trace.MemoryEvents > 0 ? PartContent.FromMemory : null,
            trace.HasPersistentRing ? PartContent.FromPersistentRing : null,
        ];
        return new PartContent(string.Join('+', sources.OfType<string>()), lacks.All(l => l is null) ? null : string.Join("; ", lacks.OfType<string>()));
    }

    /// <summary>The stretch of the trace that belongs to a case, and the whole that it is of.</summary>
    /// <exception cref="MissingPartException">Nothing of it is stored.</exception>
    public static (ExportSource Export, CaseTrace Trace) Choose(CaseSource source)
    {
        StoredBoot boot = source.Dead ?? throw new MissingPartException(source.NoBootReason);
        CaseTrace trace = CaseTrace.Open(source.Guest!, boot, source.Folder, source.Clock, source.Remarks);
        if (trace.Recording.Newest is not ulong newest)
        {
            throw new MissingPartException($"no trace of boot {boot.Name} is stored");
        }
        ExportSource export = trace.Source(source.Store, new TraceRange(0, GoesOn(source) ? Math.Min(newest, At(source, source.Event.Time + After)) : ulong.MaxValue));
        ulong from = FirstWanted(source, export);
        ulong to = Math.Min(export.Range.To, newest);
        while (from < to && SlotBytes(trace.Recording, from, to) > source.Limits.TraceBytes)
        {
            from = to - (to - from) / 2;
        }
        return (export with { Range = export.Range with { From = from } }, trace);
    }

    /// <summary>Whether the guest lives on, with its recording.</summary>
    private static bool GoesOn(CaseSource source) => source.Clock is not null && source.Event.Kind is CaseKinds.Dump or CaseKinds.Hang;

    private static ulong FirstWanted(CaseSource source, ExportSource export)
    {
        ulong to = Math.Min(export.Range.To, export.Recording.Newest ?? 0);
        return to - Math.Min(to, (ulong)source.Limits.Trace.Ticks * TimeSpan.NanosecondsPerTick);
    }

    private static ulong At(CaseSource source, DateTimeOffset time) => (ulong)Math.Max(0, source.Clock!.BootAtHost(time));

    /// <summary>What a stretch takes in a trace.dat, up to a slot of each vCPU.</summary>
    private static long SlotBytes(BootRecording recording, ulong from, ulong to)
    {
        long bytes = 0;
        foreach (VcpuRecording vcpu in recording.Vcpus)
        {
            foreach (SegmentFile file in vcpu.Segments.Skip(SegmentFile.IndexAt(vcpu.Segments, from)).TakeWhile(s => s.First <= to))
            {
                using ISegmentReader? segment = file.TryOpen();
                if (segment is { Slots: > 0 })
                {
                    bytes += (segment.SlotAt(to) + 1 - segment.SlotAt(from)) * file.SubBufferBytes;
                }
            }
        }
        return bytes;
    }
}
