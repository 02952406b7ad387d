using VsockPair.Text;

namespace VsockPair.Cases;

/// <summary>The end of a guest's log, and the line that says what it died of: what a person looks for first. As safe for a terminal as all that stands in a case.</summary>
/// <param name="Panic">Null when no part has such a line.</param>
/// <param name="Part">Where the lines are from; null when there are none.</param>
internal sealed record LogEnd(string? Panic, string? Part, IReadOnlyList<string> Lines)
{
    private const int TailBytes = 64 << 10;
    private const int Shown = 3;
    private const int MostChars = 200;

    /// <summary>Kernel's <c>panic()</c>.</summary>
    private static ReadOnlySpan<byte> PanicText => "Kernel panic - not syncing"u8;

    public static LogEnd Of(string folder, IReadOnlyList<CasePart> parts)
    {
        string? panic = null;
        string? from = null;
        IReadOnlyList<string> lines = [];
        // The memory has the log to its end, the crash record most of it, the stream what the agent still could send.
        foreach (string name in (IEnumerable<string>)[CasePaths.Dmesg, .. parts.Select(p => p.Path).Where(CasePaths.IsPstorePart), CasePaths.Kmsg])
        {
            if (parts.All(p => p.Path != name) || Tail(folder, name) is not byte[] tail)
            {
                continue;
            }
            panic ??= PanicIn(tail);
            if (lines.Count == 0 && name is CasePaths.Dmesg or CasePaths.Kmsg)
            {
                from = name;
                lines = [.. Split(tail).TakeLast(Shown).Select(Escape)];
            }
        }
        return new LogEnd(panic, from, lines);
    }

    private static byte[]? Tail(string folder, string name)
    {
        try
        {
            using FileStream file = CaseFile.OpenForReading(folder, name);
            byte[] tail = new byte[(int)Math.Min(TailBytes, file.Length)];
            file.Position = file.Length - tail.Length;
            return tail[..file.ReadAtLeast(tail, tail.Length, throwOnEndOfStream: false)];
        }
        catch (IOException)
        {
            // Listed, and not there: verify tells of it.
            return null;
        }
    }

    private static string? PanicIn(byte[] tail)
    {
        int at = tail.AsSpan().IndexOf(PanicText);
        if (at < 0)
        {
            return null;
        }
        int end = tail.AsSpan(at).IndexOf((byte)'\n');
        return Escape(end < 0 ? tail[at..] : tail[at..(at + end)]);
    }

    private static IEnumerable<byte[]> Split(byte[] tail)
    {
        int start = 0;
        while (start < tail.Length)
        {
            int end = Array.IndexOf(tail, (byte)'\n', start);
            end = end < 0 ? tail.Length : end;
            if (end > start)
            {
                yield return tail[start..end];
            }
            start = end + 1;
        }
    }

    private static string Escape(byte[] line) => TerminalText.Escape(line.AsSpan(0, Math.Min(line.Length, MostChars)));
}
