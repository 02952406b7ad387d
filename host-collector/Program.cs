using System.CommandLine;
using System.Text;
using VsockPair.Commands;
using VsockPair.Text;

namespace VsockPair;

/// <summary>
/// The map. Commands/ is what a person types, Options/ the configuration, Text/ what a person sees; History/ reads a recording from its files, Memory/ a guest's memory, Decoding/
/// gives its bytes their meaning, Clocks/ its times a place on the host's clock, Export/ writes it for other tools. Behind <c>serve</c>: Listening/ accepts connections,
/// Sessions/ speaks the wire with one guest, Storage/ writes files, Status/ answers at control.sock. Behind <c>watch</c>: Watch/ sees machines crash, Cases/ is what it makes of that.
/// </summary>
internal static class Program
{
    private static async Task<int> Main(string[] args)
    {
        StreamWriter output = new(new StandardOutput(), new UTF8Encoding(false), 1 << 16);
        bool colours = TerminalColours.AreWanted(Console.IsOutputRedirected, Environment.GetEnvironmentVariable);
        return await CommandRunner.RunAsync(Commands(output, Console.Error, colours), args, output, Console.Error, CancellationToken.None);
    }

    internal static RootCommand Commands(TextWriter output, TextWriter error, bool colours = false)
    {
        CommandLine line = new(colours);

        Command serve = new("serve", "The collector: receives traces, kernel logs and crash records of the guests") { line.Listen };
        serve.SetAction((parsed, stop) => ServeCommand.RunAsync(line.OptionsOf(parsed), stop));

        Command watch = new("watch", WatchCommand.Description) { line.Qmp, line.QmpDir, line.Libvirt, line.Exec };
        watch.SetAction((parsed, stop) => WatchCommand.RunAsync(line.WatchOptionsOf(parsed), stop));

        Command guests = new("guests", "Who is known and connected, how much is stored and lost") { line.OptionalGuest, line.Json };
        guests.SetAction(parsed => GuestsCommand.Run(line.ContextOf(parsed, output, error), parsed.GetValue(line.OptionalGuest), parsed.GetValue(line.Json)));

        Command kmsg = new("kmsg", "A guest's kernel log, like dmesg") { line.Guest, line.Follow, line.Since, line.Until, line.Boot, line.Json };
        kmsg.SetAction((parsed, stop) => Task.FromResult(KmsgCommand.Run(line.ContextOf(parsed, output, error), line.KmsgOf(parsed), stop)));

        Command tail = new("tail", TailCommand.Description) { line.Guest, line.Event, line.Cpu, line.Json };
        tail.SetAction((parsed, stop) => Task.FromResult(TailCommand.Run(line.ContextOf(parsed, output, error), line.TailOf(parsed), stop)));

        Command losses = new("losses", "What of a guest was lost, when and why") { line.Guest, line.Since, line.Until, line.Boot, line.Json };
        losses.SetAction(parsed => LossesCommand.Run(line.ContextOf(parsed, output, error), line.LossesOf(parsed)));

        Command export = new("export", ExportCommand.Description)
        {
            line.GuestOrCase, line.OutputFile, line.Format, line.Cpu, line.Clock, line.HostTrace, line.Since, line.Until, line.Boot, line.WithMemory,
        };
        export.SetAction(parsed => ExportCommand.Run(line.ContextOf(parsed, output, error), line.ExportOf(parsed)));

        Command cases = new("cases", "The crashes of guests, and what there is of one of them") { line.OptionalCase, line.Json };
        cases.SetAction(parsed => CasesCommand.Run(line.CaseContextOf(parsed, output, error), parsed.GetValue(line.OptionalCase), parsed.GetValue(line.Json)));

        Command debug = new("debug", "Opens the memory of a case in crash, with the vmlinux that belongs to it") { line.Case, line.Print };
        debug.SetAction(parsed => DebugCommand.Run(line.CaseContextOf(parsed, output, error), parsed.GetRequiredValue(line.Case), parsed.GetValue(line.Print)));

        Command assemble = new("assemble", "Makes the parts of a case; watch runs it") { line.Case, line.Final };
        assemble.Hidden = true;
        assemble.SetAction(parsed => AssembleCommand.Run(line.CaseContextOf(parsed, output, error), parsed.GetRequiredValue(line.Case), parsed.GetValue(line.Final)));

        TraceCommandLine traceLine = new();
        Command trace = new("trace", "Show or change, for a time, what a guest records") { line.Guest, line.Json };
        traceLine.AddTo(trace);
        trace.SetAction(parsed => TraceCommand.Run(
            line.ContextOf(parsed, output, error), traceLine.RequestOf(parsed, parsed.GetRequiredValue(line.Guest)), parsed.GetValue(line.Json)));

        Command readMemory = new("read-memory", "Reads the memory of a guest that stands still, for watch") { line.Guest };
        readMemory.Hidden = true;
        readMemory.SetAction(parsed => ReadMemoryCommand.Run(
            line.ContextOf(parsed, output, error), parsed.GetRequiredValue(line.Guest), Console.OpenStandardInput(), Console.OpenStandardOutput()));

        Command dump = new("dump", DumpCommand.Description) { line.Guest, line.Yes };
        dump.SetAction(parsed => DumpCommand.Run(
            line.ContextOf(parsed, output, error), parsed.GetRequiredValue(line.Guest), parsed.GetValue(line.Yes), Console.IsInputRedirected ? null : Console.In));

        RootCommand root = new("Records what the kernels of this host's guests do, without their networks and disks.")
        {
            line.Config, line.Store, serve, watch, guests, kmsg, tail, losses, export, trace, cases, debug, dump, assemble, readMemory,
        };
        root.SetAction(parsed => GuestsCommand.Run(line.ContextOf(parsed, output, error), name: null, json: false));
        root.Directives.Clear();
        root.Options.OfType<VersionOption>().Single().Action = new PrintVersion(output);
        return root;
    }
}
