using System.Text.Json;
using VsockPair.Cases;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>One line of <c>vsockpair cases</c>.</summary>
/// <param name="State"><c>open</c> while more may come, then <c>closed</c>.</param>
/// <param name="Memory">Full, mini or none; null while it is not known.</param>
/// <param name="Bytes">Blocks on the disk.</param>
/// <param name="Missing">Parts that are not there, or not complete; null before the first assembly.</param>
internal sealed record CaseSummary(string Id, DateTimeOffset Time, string Guest, string Kind, string? Memory, long Bytes, string State, int? Missing, long Repeats);

/// <summary><c>vsockpair cases ID --json</c>.</summary>
internal sealed record CaseView(CaseEvent Event, CaseManifest? Manifest);

/// <summary><c>vsockpair cases [ID]</c>: the crashes of this host's guests, and what there is of one of them. From files alone.</summary>
internal static class CasesCommand
{
    private const string Unknown = "-";

    public static int Run(CommandContext context, string? wanted, bool json)
    {
        if (wanted is null)
        {
            List(context, json);
        }
        else
        {
            Show(context, StoredCase.Find(context.Store, wanted), json);
        }
        return ExitCode.Done;
    }

    private static void List(CommandContext context, bool json)
    {
        CaseSummary[] cases = [.. StoredCase.Ids(context.Store).Select(id => StoredCase.TryOpen(context.Store, id)).OfType<StoredCase>().Select(Summarize)];
        if (json)
        {
            context.Output.WriteLine(JsonSerializer.Serialize(cases, CommandJson.Default.IReadOnlyListCaseSummary));
        }
        else if (cases.Length > 0)
        {
            Table table = new Table("ID", "TIME", "GUEST", "KIND", "MEMORY", "SIZE", "STATE").AlignRight(5);
            foreach (CaseSummary summary in cases)
            {
                table.Add(
                    summary.Id, RfcTimeConverter.Text(summary.Time), TerminalText.EscapeShort(summary.Guest), TerminalText.EscapeShort(summary.Kind),
                    TerminalText.EscapeShort(summary.Memory ?? Unknown), Units.Bytes(summary.Bytes), StateOf(summary));
            }
            table.Write(context.Output);
        }
        if (cases.Length == 0)
        {
            throw new CommandFailure(ExitCode.NothingFound, Directory.Exists(context.Store)
                ? $"no case has been recorded (store {TerminalText.Escape(context.Store)})"
                : $"no store at {TerminalText.Escape(context.Store)}; name it with --store, or start vsockpair watch");
        }
    }

    private static void Show(CommandContext context, StoredCase found, bool json)
    {
        if (json)
        {
            context.Output.WriteLine(JsonSerializer.Serialize(new CaseView(found.Event, found.Manifest), CommandJson.Default.CaseView));
            return;
        }
        CaseText.WriteHappened(context.Output, found);
        CaseText.WriteLogEnd(context.Output, found);
        context.Output.WriteLine();
        WriteTimeLine(context, found);
        context.Output.WriteLine();
        CaseText.WriteParts(context.Output, found);
        context.Output.WriteLine();
        CaseKernel kernel = CaseKernel.Of(context.Store, found);
        VmlinuxSearch search = new(context.Store, context.Watch);
        CaseText.WriteCommands(context.Output, found, kernel.BuildId is null ? null : search.Find(kernel.BuildId, kernel.Release), kernel.BuildId is null ? null : search.HowToGet(kernel.BuildId, kernel.Release));
    }

    private static void WriteTimeLine(CommandContext context, StoredCase found)
    {
        CaseSource source = new(context.Store, found.Folder, found.Event, new CaseLimits(), context.Time, context.Error);
        List<(DateTimeOffset Time, string What)> moments = [(found.Event.Time, CaseText.Verb(found.Event.Kind))];
        void Add(DateTimeOffset? time, string what)
        {
            if (time is DateTimeOffset known)
            {
                moments.Add((known, what));
            }
        }
        Add(source.Dead?.Started, $"boot {source.Dead?.Name} first seen");
        Add(source.Dead?.Record?.Ended, $"its recording ended ({TerminalText.EscapeShort(source.Dead?.Record?.EndReason ?? "")})");
        Add(found.Event.Released, $"the machine was let go ({TerminalText.EscapeShort(found.Event.Action ?? "")})");
        Add(source.Next?.Started, $"the guest came back: boot {source.Next?.Name} first seen");
        Add(found.Manifest?.Parts.Max(p => (DateTimeOffset?)p.Time), "newest part of this case");
        Add(found.Manifest?.Closed, "closed: nothing more is waited for");
        foreach ((DateTimeOffset time, string what) in moments.OrderBy(m => m.Time))
        {
            context.Output.WriteLine($"{RfcTimeConverter.Text(time)}  {what}");
        }
        if (found.IsOpen)
        {
            context.Output.WriteLine(found.Manifest is null ? "not assembled yet" : "open: more may come");
        }
    }

    private static CaseSummary Summarize(StoredCase found) => new(
        found.Id, found.Event.Time, found.Event.Guest, found.Event.Kind, found.Event.Memory?.Taken, found.BlocksOf(),
        found.IsOpen ? "open" : "closed", found.Manifest?.Missing.Count, found.Event.Repeats);

    private static string StateOf(CaseSummary summary) => summary.State + (summary.Missing switch
    {
        null => ", not assembled yet",
        0 => "",
        int missing => $", {missing} missing",
    }) + (summary.Repeats > 0 ? $", {Units.Count(summary.Repeats)} more counted" : "");
}
