using System.Buffers.Text;
using System.Text;

namespace VsockPair.Decoding;

/// <summary>Lines of the stored files <c>kallsyms</c> and <c>kallsyms-boot</c> (PROTOCOL.md §8): "+5a0 T name", "ffffffff81000000 T name", "ffffffffc0000000 t name\t[module]".</summary>
internal static class KallsymsText
{
    /// <summary>Of a line before the space in front of its name: a hostile file may have no lines at all, and shall not be searched backwards to its beginning for each hit.</summary>
    private const int MostBeforeName = 24;

    /// <summary>What the first line of <c>kallsyms-boot</c> says.</summary>
    /// <returns>0 when the guest does not show it.</returns>
    public static ulong TextAddressIn(byte[] boot)
    {
        LineReader first = new(boot);
        return first.TryRead(out ReadOnlySpan<byte> line) && Utf8Parser.TryParse(line, out ulong address, out int digits, 'x') && line[digits..].SequenceEqual(" _text"u8)
            ? address
            : 0;
    }

    /// <summary>Searches the text of a file: for a few names faster than a table of all.</summary>
    /// <param name="text">Where <c>_text</c> lies.</param>
    /// <param name="absolute">Also absolute symbols, such as the places of per-CPU variables.</param>
    public static bool TryFind(byte[] file, ulong text, string name, bool absolute, out ulong address)
    {
        byte[] pattern = Encoding.Latin1.GetBytes(" " + name);
        for (int at = 0; file.AsSpan(at).IndexOf(pattern) is int found and >= 0;)
        {
            int from = Math.Max(0, at + found - MostBeforeName);
            int start = from + file.AsSpan(from, at + found - from).LastIndexOf((byte)'\n') + 1;
            ReadOnlySpan<byte> line = file.AsSpan(start);
            at += found + pattern.Length;
            if ((start == 0 || file[start - 1] == '\n') && TryParse(line, text, absolute, out address, out int nameAt) && start + nameAt + pattern.Length - 1 == at
                && (at == file.Length || file[at] is (byte)'\n' or (byte)'\t'))
            {
                return true;
            }
        }
        address = 0;
        return false;
    }

    /// <param name="absolute">False leaves out those that are no places in the kernel's text or data, as trace-cmd does.</param>
    public static bool TryParse(ReadOnlySpan<byte> line, ulong text, bool absolute, out ulong address, out int nameAt)
    {
        bool isRelative = line.StartsWith("+"u8);
        ReadOnlySpan<byte> rest = isRelative ? line[1..] : line;
        nameAt = 0;
        // Without _text the relative ones have no place.
        if ((isRelative && text == 0) || !Utf8Parser.TryParse(rest, out address, out int digits, 'x') || rest.Length < digits + 4
            || rest[digits] != ' ' || rest[digits + 2] != ' ' || (!absolute && rest[digits + 1] is (byte)'A' or (byte)'a') || rest[digits + 3] == '$')
        {
            address = 0;
            return false;
        }
        address += isRelative ? text : 0;
        nameAt = line.Length - rest.Length + digits + 3;
        return true;
    }
}
