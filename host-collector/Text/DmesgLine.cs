using System.Globalization;
using System.Text;

namespace VsockPair.Text;

/// <summary>
/// A record of a kernel log as dmesg shows it. A line that begins with a bracket is a record's first line: further lines of a text are indented, so a guest cannot fake one.
/// </summary>
internal static class DmesgLine
{
    /// <param name="level">Of the record, for colours as dmesg has them: the time green, the text by its level. Null for none.</param>
    /// <param name="before">The same moment by another clock.</param>
    public static void Append(StringBuilder target, ulong microseconds, ReadOnlySpan<byte> text, int? level, string before = "")
    {
        string time = string.Create(CultureInfo.InvariantCulture, $"{before}[{microseconds / 1_000_000,5}.{microseconds % 1_000_000:D6}]");
        target.Append(level is null ? "" : TerminalColours.Time).Append(time).Append(level is null ? "" : TerminalColours.Reset);
        target.Append(' ');
        string? colour = level is { } known ? TerminalColours.OfLevel(known) : null;
        text = text.TrimEnd((byte)'\n');
        int end;
        while ((end = text.IndexOf((byte)'\n')) >= 0)
        {
            AppendText(target, colour, text[..end]);
            target.Append('\n').Append(' ', time.Length + 1);
            text = text[(end + 1)..];
        }
        AppendText(target, colour, text);
        target.Append('\n');
    }

    /// <summary>What stands between two records where some are not there any more.</summary>
    public static string Lost(ulong records) => $"-- {records.ToString("N0", CultureInfo.InvariantCulture)} records lost --";

    /// <summary>Each line ends in the terminal's own colour: a pager may show it alone.</summary>
    private static void AppendText(StringBuilder target, string? colour, ReadOnlySpan<byte> text)
    {
        target.Append(colour);
        TerminalText.Append(target, text);
        target.Append(colour is null ? "" : TerminalColours.Reset);
    }
}
