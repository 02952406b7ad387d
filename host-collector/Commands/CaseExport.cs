using VsockPair.Cases;
using VsockPair.Export;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary><c>vsockpair export CASE</c>: the whole case as one file to send, or its trace. One that is open is exported as it is, with a remark.</summary>
internal static class CaseExport
{
    private const int CopyBytes = 1 << 20;

    public static int Run(CommandContext context, ExportRequest request)
    {
        StoredCase found = StoredCase.Find(context.Store, request.Guest);
        if (found.Manifest is null)
        {
            throw new CommandFailure(ExitCode.Failed, $"{found.Id} has not been assembled yet; wait for vsockpair watch, or run: vsockpair assemble {found.Id}");
        }
        ExportFormat format = ExportCommand.FormatOf(request, ExportFormat.Archive);
        if (found.IsOpen)
        {
            context.Error.WriteLine($"{found.Id} is still open: more may come, and another export will then have it");
        }
        if (format.Create is null)
        {
            return Archive(context, request, found);
        }
        if (request.WithMemory)
        {
            throw new CommandFailure(ExitCode.Usage, $"--memory is for .{ExportFormat.Archive}");
        }
        string path = request.Output ?? $"{found.Id}.{format.Name}";
        bool whole = request is { Selection: { Since: null, Until: null, Boot: null }, Cpus.Count: 0, OnHostClock: false, HostTrace: null };
        return whole && format.Name == ExportFormat.TraceDat && found.Manifest.Parts.Any(p => p.Path == CasePaths.Trace)
            ? Copy(context, found, path)
            : FromStore(context, request, format, found, path);
    }

    private static int Archive(CommandContext context, ExportRequest request, StoredCase found)
    {
        if (request.WithMemory && found.Manifest!.Parts.All(p => p.Path != CasePaths.Vmcore))
        {
            throw new CommandFailure(ExitCode.NothingFound, $"{found.Id} has no memory; leave --memory out. vsockpair cases {found.Id} says why");
        }
        string path = request.Output ?? $"{found.Id}.{ExportFormat.Archive}";
        int exitCode = ExitCode.Done;
        ExportCommand.ToFile(context, path, canBeStreamed: true, (target, progress, stop) =>
        {
            IReadOnlyList<string> changed = CaseArchive.Write(found, request.WithMemory, target, progress, stop);
            return () =>
            {
                foreach (string part in changed)
                {
                    context.Error.WriteLine($"{TerminalText.Escape(part)} is not what manifest.json says; it was exported as it is");
                }
                exitCode = changed.Count > 0 ? ExitCode.Failed : ExitCode.Done;
                bool hasMemory = found.Manifest!.Parts.Any(p => p.Path == CasePaths.Vmcore);
                context.Error.WriteLine($"{(path == ExportFile.StandardOutputName ? found.Id : TerminalText.Escape(path))}: {(request.WithMemory ? "with the guest's memory and all the secrets in it"
                    : hasMemory ? "without the guest's memory (--memory adds it)" : "the case has no memory")}");
            };
        });
        return exitCode;
    }

    private static int Copy(CommandContext context, StoredCase found, string path)
    {
        ExportCommand.ToFile(context, path, canBeStreamed: true, (target, progress, stop) =>
        {
            using FileStream file = CaseFile.OpenForReading(found.Folder, CasePaths.Trace);
            byte[] chunk = new byte[CopyBytes];
            int n;
            while ((n = file.Read(chunk)) > 0)
            {
                stop.ThrowIfCancellationRequested();
                target.Write(chunk, 0, n);
                progress.Show((double)file.Position / file.Length, file.Position);
            }
            return () => context.Error.WriteLine($"{TerminalText.Escape(path)}: trace.dat of {found.Id}");
        });
        return ExitCode.Done;
    }

    /// <summary>Other formats, and other clocks, are made from what the store has.</summary>
    private static int FromStore(CommandContext context, ExportRequest request, ExportFormat format, StoredCase found, string path)
    {
        if (request.Selection is not { Since: null, Until: null, Boot: null })
        {
            throw new CommandFailure(ExitCode.Usage, $"a case has its own stretch of time; export another one with vsockpair export {TerminalText.Escape(found.Event.Guest)} -S … -U …");
        }
        try
        {
            (ExportSource source, _) = TracePart.Choose(new CaseSource(context.Store, found.Folder, found.Event, new CaseLimits(), context.Time, context.Error));
            return ExportCommand.Write(context, request, format, ExportCommand.Only(request.Cpus, source), path, () => NothingFound(found, "no event is in its last minutes"));
        }
        catch (MissingPartException e)
        {
            throw NothingFound(found, e.Message);
        }
    }

    private static CommandFailure NothingFound(StoredCase found, string reason) => new(
        ExitCode.NothingFound,
        $"the store has no trace for {found.Id}: {TerminalText.Escape(reason)}"
        + (found.Manifest!.Parts.Any(p => p.Path == CasePaths.Trace) ? "; the case has its own: -o FILE.dat" : ""));
}
