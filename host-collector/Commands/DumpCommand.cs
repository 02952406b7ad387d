using System.Net.Sockets;
using System.Text.Json;
using VsockPair.Cases;
using VsockPair.Export;
using VsockPair.Storage;
using VsockPair.Text;
using VsockPair.Watch;

namespace VsockPair.Commands;

/// <summary><c>vsockpair dump NAME</c>: the memory of a guest that runs, as a case. The guest stands still for it, so it asks first.</summary>
internal static class DumpCommand
{
    public const string Description = "Take the memory of a guest that runs, as a case; says how long the guest will stand still, and asks";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <param name="answers">Where the person answers; null where nobody can.</param>
    public static int Run(CommandContext context, string guest, bool isConfirmed, TextReader? answers)
    {
        DumpProgress cost = Ask(context.Store, guest, confirmed: false).First();
        if (cost.Error is not null)
        {
            throw new CommandFailure(ExitCode.Failed, $"{guest}: {TerminalText.Escape(cost.Error)}");
        }
        string pause = $"{guest} has {Units.Bytes(cost.MemoryBytes ?? 0)} of memory and will stand still for about {Units.Seconds((decimal)(cost.ExpectedSeconds ?? 0) * 1_000_000_000)}.";
        if (!isConfirmed && !IsConfirmed(context, pause, answers))
        {
            return ExitCode.Failed;
        }
        DumpProgress? last = null;
        using (ProgressBar bar = new(context.Error, !Console.IsErrorRedirected, context.Time))
        {
            foreach (DumpProgress step in Ask(context.Store, guest, confirmed: true))
            {
                last = step;
                if (step is { Done: long done, Total: > 0 and long total })
                {
                    bar.Show((double)done / total, done);
                }
            }
        }
        return last switch
        {
            { Error: string error } => throw new CommandFailure(ExitCode.Failed, $"{guest}: {TerminalText.Escape(error)}"),
            { Case: { Memory: CaseMemory memory } taken } => Show(context, taken, memory),
            _ => throw new CommandFailure(ExitCode.Failed, "vsockpair watch has ended meanwhile; the case, if there is one, is closed by its next start"),
        };
    }

    private static bool IsConfirmed(CommandContext context, string pause, TextReader? answers)
    {
        if (answers is null)
        {
            throw new CommandFailure(ExitCode.Usage, $"{pause} Nobody can be asked here: --yes");
        }
        context.Error.Write($"{pause} Go on? [y/N] ");
        context.Error.Flush();
        return answers.ReadLine()?.Trim() is "y" or "Y" or "yes";
    }

    private static int Show(CommandContext context, CaseEvent taken, CaseMemory memory)
    {
        if (memory.Taken == MemoryTaken.None)
        {
            throw new CommandFailure(ExitCode.Failed, $"{taken.Guest}: nothing was taken: {TerminalText.Escape(memory.Reason ?? "no reason was told")} (case {taken.Id})");
        }
        context.Output.WriteLine($"{taken.Id}: {memory.Taken} memory ({memory.Format}), {taken.Guest} stood still for {Units.Seconds((decimal)memory.PausedSeconds * 1_000_000_000)}");
        context.Output.WriteLine(Path.Combine(CasePaths.Folder(context.Store, taken.Id), CasePaths.Vmcore));
        return ExitCode.Done;
    }

    private static IEnumerable<DumpProgress> Ask(string store, string guest, bool confirmed)
    {
        byte[] request = JsonSerializer.SerializeToUtf8Bytes(new DumpRequest { Command = DumpRequest.Name, Guest = guest, Confirmed = confirmed }, WatchJson.Default.DumpRequest);
        using IEnumerator<string> lines = ControlSocket.AskLines(StorePaths.WatchSocket(store), request, Patience).GetEnumerator();
        while (Next(lines))
        {
            yield return JsonSerializer.Deserialize(lines.Current, WatchJson.Default.DumpProgress) ?? new DumpProgress();
        }
    }

    private static bool Next(IEnumerator<string> lines)
    {
        try
        {
            return lines.MoveNext();
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressNotAvailable or SocketError.ConnectionRefused)
        {
            // ENOENT: nobody has made the socket; ECONNREFUSED: its maker is dead.
            throw new CommandFailure(ExitCode.Failed, "vsockpair watch is not running on this store");
        }
        catch (SocketException e)
        {
            throw new CommandFailure(ExitCode.Failed, $"vsockpair watch does not answer ({e.Message})");
        }
    }
}
