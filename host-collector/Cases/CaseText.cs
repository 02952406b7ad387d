using System.Globalization;
using System.Text;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Cases;

/// <summary>A case in words, for README.txt and for a terminal.</summary>
internal static class CaseText
{
    public static void WriteReadMe(Stream target, StoredCase stored, CaseSource source, VmlinuxSearch vmlinux)
    {
        using StreamWriter text = new(target, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
        WriteHappened(text, stored);
        string? buildId = stored.Manifest?.BuildId;
        string? kernel = source.Dead?.Record?.Kernel;
        if (kernel is not null)
        {
            text.WriteLine($"Kernel {TerminalText.EscapeShort(kernel)}, build-id {buildId ?? "not known"}, boot {source.Dead!.Name}.");
        }
        WriteLogEnd(text, stored);
        text.WriteLine();
        WriteParts(text, stored);
        text.WriteLine();
        string? found = buildId is null ? null : vmlinux.Find(buildId, kernel);
        WriteCommands(text, stored, found, buildId is null ? null : vmlinux.HowToGet(buildId, kernel));
    }

    /// <summary>What happened, to whom, when, and what was done.</summary>
    public static void WriteHappened(TextWriter text, StoredCase stored)
    {
        CaseEvent happened = stored.Event;
        text.WriteLine($"{stored.Id}: {TerminalText.EscapeShort(happened.Guest)} {Verb(happened.Kind)} at {RfcTimeConverter.Text(happened.Time)} (told by {TerminalText.EscapeShort(happened.Source)}).");
        if (happened.Detail is not null)
        {
            text.WriteLine($"Its VMM says: {TerminalText.EscapeShort(happened.Detail)}");
        }
        if (happened.Repeats > 0)
        {
            text.WriteLine($"{Units.Count(happened.Repeats)} further events of the same kind were counted and are no cases of their own.");
        }
        string memory = happened.Memory is CaseMemory taken
            ? $"Memory: {taken.Taken}{(taken.Format is null ? "" : $" ({taken.Format})")}, the machine stood still for {taken.PausedSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s."
            : "Memory: not taken yet.";
        string action = happened is { Action: string done, Released: DateTimeOffset released } ? $" Then: {done}, at {RfcTimeConverter.Text(released)}." : "";
        text.WriteLine(memory + action);
    }

    public static void WriteLogEnd(TextWriter text, StoredCase stored)
    {
        LogEnd end = LogEnd.Of(stored.Folder, stored.Manifest?.Parts ?? []);
        if (end.Panic is not null)
        {
            text.WriteLine(end.Panic);
        }
        if (end.Part is not null)
        {
            text.WriteLine($"{end.Part} ends so:");
            foreach (string line in end.Lines)
            {
                text.WriteLine($"  {line}");
            }
        }
    }

    /// <summary>What there is, and what is not and why.</summary>
    public static void WriteParts(TextWriter text, StoredCase stored)
    {
        Table table = new Table("PART", "SIZE", "FROM", "COMPLETE").AlignRight(1);
        foreach (CasePart part in stored.Manifest?.Parts ?? [])
        {
            table.Add(TerminalText.EscapeShort(part.Path), Units.Bytes(part.Bytes), TerminalText.EscapeShort(part.Source), part.Complete ? "yes" : "no");
        }
        table.Write(text);
        foreach (MissingPart missing in stored.Manifest?.Missing ?? [])
        {
            text.WriteLine($"missing {TerminalText.EscapeShort(missing.Part)}: {TerminalText.Escape(missing.Reason)}");
        }
    }

    /// <param name="vmlinux">Null when it is not on this host.</param>
    /// <param name="howToGet">What brings it.</param>
    public static void WriteCommands(TextWriter text, StoredCase stored, string? vmlinux, string? howToGet)
    {
        HashSet<string> parts = [.. stored.Manifest?.Parts.Select(p => p.Path) ?? []];
        string PathOf(string name) => TerminalText.Escape(Path.Combine(stored.Folder, name));
        if (parts.Contains(CasePaths.Trace))
        {
            text.WriteLine($"trace-cmd report -i {PathOf(CasePaths.Trace)}      or: kernelshark {PathOf(CasePaths.Trace)}");
        }
        if (stored.Event.Memory?.Taken == MemoryTaken.Full && parts.Contains(CasePaths.Vmcore))
        {
            text.WriteLine($"vsockpair debug {stored.Id}      runs: {(vmlinux is null ? "crash, once its vmlinux is here: " + howToGet : CrashCommand(vmlinux, stored))}");
        }
        text.WriteLine($"vsockpair cases {stored.Id}      shows this, and what came later");
        text.WriteLine($"vsockpair export {stored.Id} -o {stored.Id}.tar.zst      one file to send, without the memory");
    }

    public static string CrashCommand(string vmlinux, StoredCase stored) =>
        $"crash {TerminalText.Escape(vmlinux)} {TerminalText.Escape(Path.Combine(stored.Folder, CasePaths.Vmcore))}";

    public static string Verb(string kind) => kind switch
    {
        CaseKinds.Panic => "panicked",
        CaseKinds.Kdump => "crashed, and its own kdump took over",
        CaseKinds.Reset => "was reset without a word",
        CaseKinds.Hang => "hung",
        CaseKinds.Dump => "had its memory taken for an operator",
        _ => TerminalText.EscapeShort(kind),
    };
}
