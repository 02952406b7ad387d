using System.Buffers.Text;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>
/// What a kernel logged after its agent had sent the last line: from its memory, else from the record that it left in pstore. Lines there have a time and no sequence, so what is
/// later than the last record is taken; one of the very same microsecond may be missing.
/// </summary>
internal static class LogTail
{
    private const int MostBytes = 4 << 20;
    private const int MaxMicrosecondDigits = 6;

    /// <returns>The lines with their times in nanoseconds, and where they are from; null when there are none.</returns>
    public static (string Source, IReadOnlyList<(long Nanoseconds, byte[] Line)> Lines)? Find(CaseSource source, IReadOnlyList<CasePart> parts, long after)
    {
        if (parts.Any(p => p.Path == CasePaths.Dmesg))
        {
            return (PartContent.FromMemory, [.. Later(Path.Combine(source.Folder, CasePaths.Dmesg), after)]);
        }
        string[] records = [.. parts.Select(p => p.Path).Where(p => p.StartsWith(CasePaths.Pstore + "/dmesg-", StringComparison.Ordinal))];
        (long Nanoseconds, byte[])[] lines = [.. records.SelectMany(r => Later(Path.Combine(source.Folder, r), after)).OrderBy(l => l.Nanoseconds)];
        return lines.Length == 0 ? null : (PartContent.FromPstore, lines);
    }

    /// <summary>Lines as <c>dmesg.txt</c> has them, or with the level in front as the kernel's <c>kmsg_dump_get_buffer</c> writes them. Indented ones belong to the line before.</summary>
    private static IEnumerable<(long Nanoseconds, byte[] Line)> Later(string path, long after)
    {
        byte[] text;
        using (FileStream file = JsonLines.Open(path))
        {
            text = new byte[(int)Math.Min(MostBytes, file.Length)];
            file.Position = file.Length - text.Length;
            file.ReadExactly(text);
        }
        long last = -1;
        for (int start = 0; start < text.Length;)
        {
            int end = Array.IndexOf(text, (byte)'\n', start);
            end = end < 0 ? text.Length : end;
            int begin = start;
            if (TryReadTime(text.AsSpan(start, end - start), out int level, out long nanoseconds))
            {
                last = nanoseconds;
                begin += level;
            }
            else if (text[start] != ' ')
            {
                last = -1;
            }
            if (last > after)
            {
                yield return (last, text[begin..end]);
            }
            start = end + 1;
        }
    }

    /// <param name="level">Bytes in front of the time.</param>
    private static bool TryReadTime(ReadOnlySpan<byte> line, out int level, out long nanoseconds)
    {
        level = line.Length > 0 && line[0] == '<' ? line.IndexOf((byte)'>') + 1 : 0;
        nanoseconds = 0;
        ReadOnlySpan<byte> rest = line[level..];
        if (rest.IsEmpty || rest[0] != '[')
        {
            return false;
        }
        rest = rest[1..].TrimStart((byte)' ');
        if (!Utf8Parser.TryParse(rest, out uint seconds, out int digits) || digits >= rest.Length || rest[digits] != '.'
            || !Utf8Parser.TryParse(rest[(digits + 1)..], out uint microseconds, out int fraction) || fraction != MaxMicrosecondDigits
            || rest.Length <= digits + 1 + fraction || rest[digits + 1 + fraction] != ']')
        {
            return false;
        }
        nanoseconds = seconds * 1_000_000_000L + microseconds * 1000L;
        return true;
    }
}
