using System.Globalization;
using System.Runtime.InteropServices;
using VsockPair.Cases;
using VsockPair.Clocks;
using VsockPair.Export;
using VsockPair.History;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>What <c>vsockpair export</c> was asked for.</summary>
/// <param name="OnHostClock">Time stamps of the host's realtime instead of the guest's trace clock.</param>
/// <param name="HostTrace">The host's own trace.dat, on whose clock the time stamps shall be.</param>
/// <param name="WithMemory">Of a case.</param>
internal sealed record ExportRequest(
    string Guest, Selection Selection, IReadOnlyList<int> Cpus, string? Output, ExportFormat? Format, bool OnHostClock = false, string? HostTrace = null, bool WithMemory = false);

/// <summary>
/// <c>vsockpair export NAME</c>: the trace of one boot, or a stretch of it, in a format of other tools, from files alone. Without a range the newest boot. A range in
/// host time may reach over several: trace clocks begin anew with each, so the newest of them is taken and the others are named.
/// </summary>
internal static class ExportCommand
{
    public const string Description =
        "A guest's trace for other tools: .dat trace-cmd and KernelShark, .pftrace Perfetto, .txt as trace-cmd report prints, .ndjson one event a line; or a case: .tar.zst, one file to send";

    public static int Run(CommandContext context, ExportRequest request)
    {
        if (request.Output is not null && ExportFile.FaultOf(request.Output) is string fault)
        {
            throw new CommandFailure(ExitCode.Usage, fault);
        }
        if ((CasePaths.IsId(request.Guest) || request.Guest == StoredCase.Last) && !StoredGuest.Names(context.Store).Contains(request.Guest))
        {
            return CaseExport.Run(context, request);
        }
        ExportFormat format = FormatOf(request, ExportFormat.TraceDat);
        if (format.Create is null || request.WithMemory)
        {
            throw new CommandFailure(ExitCode.Usage, $".{ExportFormat.Archive} and --memory are for a case; vsockpair cases lists them");
        }
        StoredGuest guest = StoredGuest.Find(context.Store, request.Guest);
        ExportSource source = Choose(context, request, guest);
        return Write(context, request, format, source, request.Output ?? DefaultPath(guest, format, context.Time), () => NothingFound(guest, request));
    }

    /// <param name="nothingFound">What to say when no event is in the range.</param>
    public static int Write(CommandContext context, ExportRequest request, ExportFormat format, ExportSource source, string path, Func<CommandFailure> nothingFound)
    {
        source = source with { Times = TimesOf(request, format, source) };
        ToFile(context, path, format.CanBeStreamed, (file, progress, stop) =>
        {
            IExporter exporter = format.Create!();
            using (exporter as IDisposable)
            {
                ExportCounts counts = exporter.Write(source, file, progress, stop);
                return counts.IsEmpty ? throw nothingFound() : () => Report(context.Error, source, path, counts);
            }
        });
        return ExitCode.Done;
    }

    /// <summary>Writes a file that is there whole or not at all, whoever interrupts it.</summary>
    /// <param name="write">Returns what there is to say once it has its name.</param>
    public static void ToFile(CommandContext context, string path, bool canBeStreamed, Func<Stream, ProgressBar, CancellationToken, Action> write)
    {
        using CancellationTokenSource stop = new();
        using PosixSignalRegistration interrupt = Catch(PosixSignal.SIGINT, stop);
        using PosixSignalRegistration terminate = Catch(PosixSignal.SIGTERM, stop);
        try
        {
            Action report;
            using (ExportFile file = ExportFile.Create(path, canBeStreamed, stop.Token))
            using (ProgressBar progress = new(context.Error, shown: !Console.IsErrorRedirected, context.Time))
            {
                report = write(file.Stream, progress, stop.Token);
                file.Publish();
            }
            report();
        }
        catch (OperationCanceledException)
        {
            throw new CommandFailure(ExitCode.Failed, $"interrupted, {TerminalText.Escape(path)} was not written");
        }
    }

    /// <param name="byDefault">Where neither an option nor a name says it.</param>
    public static ExportFormat FormatOf(ExportRequest request, string byDefault) =>
        request.Format ?? ExportFormat.OfPath(request.Output ?? "." + byDefault) ?? throw new CommandFailure(
            ExitCode.Usage,
            (request.Output == ExportFile.StandardOutputName ? "standard output has no name that says the format" : $"the name {TerminalText.Escape(request.Output!)} does not say the format")
                + $"; add --format, one of {ExportFormat.Names}");

    private static ExportSource Choose(CommandContext context, ExportRequest request, StoredGuest guest)
    {
        IReadOnlyList<StoredBoot> boots = request.Selection.BootsOf(guest, allByDefault: false);
        HostRange range = HostRange.Of(request.Selection, boots, GuestTimeLine.Trace, context.Error);
        ExportSource? chosen = null;
        List<StoredBoot> others = [];
        foreach (StoredBoot boot in boots.Reverse())
        {
            BootRecording recording = BootRecording.Open(boot);
            ClockModel? clock = ClockModel.Load(boot, context.Error);
            if (recording.Newest is not ulong newest || range.InGuestClock(boot, clock, context.Error) is not (long from, long to) || recording.Oldest > (ulong)to)
            {
                continue;
            }
            LossMap losses = LossMap.Load(guest, recording, clock, context.Error);
            if (newest < (ulong)from && !(losses.Newest >= (ulong)from))
            {
                continue;
            }
            if (chosen is not null)
            {
                others.Add(boot);
                continue;
            }
            // The recording's end is fixed; without an end of the range there is no later time to compare with.
            TraceRange stretch = new((ulong)from, to == long.MaxValue ? ulong.MaxValue : (ulong)to);
            chosen = new ExportSource
            {
                Guest = guest,
                Recording = losses.Complete(recording),
                Range = stretch,
                Losses = losses,
                Metadata = new BootMetadata(context.Store, boot),
                Clock = clock,
            };
        }
        if (chosen is null)
        {
            throw NothingFound(guest, request);
        }
        foreach (StoredBoot other in others)
        {
            context.Error.WriteLine($"boot {other.Name}, first seen {Storage.RfcTimeConverter.Text(other.Started)}, lies in that range as well; export it with -b {other.Name}");
        }
        return Only(request.Cpus, chosen);
    }

    private static ExportTimes TimesOf(ExportRequest request, ExportFormat format, ExportSource source)
    {
        if (!request.OnHostClock && request.HostTrace is null)
        {
            return ExportTimes.Guest;
        }
        if (request.HostTrace is not null && format.Name != ExportFormat.TraceDat)
        {
            throw new CommandFailure(ExitCode.Usage, $"--host-trace is for .{ExportFormat.TraceDat}, which trace-cmd report shows together with it; here use --clock host");
        }
        ClockModel clock = source.Clock ?? throw new CommandFailure(
            ExitCode.Failed, $"boot {source.Boot.Name} has no clock sample, so its events have no place in host time; leave --clock and --host-trace out");
        return request.HostTrace is null
            ? ExportTimes.HostRealTime(clock, source.ClockStretch, source.VcpuLimit)
            : ExportTimes.HostTrace(clock, HostTraceFile.Read(request.HostTrace), source.ClockStretch, source.VcpuLimit);
    }

    public static ExportSource Only(IReadOnlyList<int> cpus, ExportSource source)
    {
        if (cpus.Count == 0)
        {
            return source;
        }
        int[] missing = [.. cpus.Where(c => source.Recording.Vcpus.All(v => v.Number != c))];
        return missing.Length > 0
            ? throw new CommandFailure(
                ExitCode.NothingFound, $"nothing of cpu{missing[0]} is stored in boot {source.Boot.Name}; there is {string.Join(", ", source.Recording.Vcpus.Select(v => v.Number))}")
            : source with { Recording = source.Recording.Only(cpus) };
    }

    private static void Report(TextWriter error, ExportSource source, string path, ExportCounts counts)
    {
        foreach (string fault in MetadataFaults.Of(source.Metadata))
        {
            error.WriteLine(fault);
        }
        if (counts.Faults.Count > 0)
        {
            error.WriteLine($"{counts.Faults.Count} metadata files cannot be used, among them {TerminalText.EscapeShort(counts.Faults[0])}: their events have no fields");
        }
        string lost = (counts.LostEvents, counts.LossesUnknown) switch
        {
            (0, 0) => "none lost",
            (_, 0) => $"{Units.Count(counts.LostEvents)} lost",
            (0, _) => $"lost an unknown number in {Units.Count(counts.LossesUnknown)} places",
            _ => $"{Units.Count(counts.LostEvents)} lost, and an unknown number in {Units.Count(counts.LossesUnknown)} places",
        };
        if (counts.Damage.Places > 0)
        {
            error.WriteLine($"{Units.Count(counts.Damage.Places)} places in the stored files, the first of them in {counts.Damage.File}, do not hold what a kernel writes: the events there are lost");
        }
        string target = path == ExportFile.StandardOutputName ? "" : TerminalText.Escape(path) + ": ";
        error.WriteLine($"{target}{Units.Count(counts.Events)} events of boot {source.Boot.Name}, {lost}");
        if (source.Times.Line is ClockLine line)
        {
            ClockPrecision precision = ClockPrecision.Of(line, source.ClockStretch.From, source.ClockStretch.To);
            error.WriteLine((precision.Error, precision.Doubtful) switch
            {
                (_, 0) => $"host time ±{Units.Seconds(precision.Error)}",
                (0, _) => $"host time ±{Units.Seconds(precision.DoubtfulError)}, because the clocks jumped between the samples before and after",
                _ => $"host time ±{Units.Seconds(precision.Error)}; in {Units.Seconds(precision.Doubtful)} around jumps of the clocks ±{Units.Seconds(precision.DoubtfulError)}",
            });
        }
    }

    private static CommandFailure NothingFound(StoredGuest guest, ExportRequest request) => new(
        ExitCode.NothingFound,
        request.Selection is { Since: null, Until: null }
            ? $"no trace of {guest.Name} is stored in {(request.Selection.Boot is null ? "its newest boot; try the one before: -b -1" : "that boot")}"
            : $"no trace of {guest.Name} in that range");

    private static string DefaultPath(StoredGuest guest, ExportFormat format, TimeProvider time) =>
        string.Create(CultureInfo.InvariantCulture, $"{guest.Name}-{time.GetUtcNow().UtcDateTime:yyyyMMdd'T'HHmmss'Z'}.{format.Name}");

    /// <summary>The unfinished file is removed before the program ends, unless the user says it twice.</summary>
    private static PosixSignalRegistration Catch(PosixSignal signal, CancellationTokenSource stop) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = !stop.IsCancellationRequested;
        stop.Cancel();
    });
}
