using System.Buffers.Text;
using VsockPair.History;

namespace VsockPair.Export;

/// <summary>
/// <c>/proc/kallsyms</c> of one boot, put together again from the part that all boots of a kernel share, relative to <c>_text</c>, and the part of this boot.
/// </summary>
internal static class SymbolText
{
    private const int AddressDigits = 16;

    /// <summary>Null when the guest did not send both parts, or they are not what they should be.</summary>
    public static byte[]? TryRestore(BootMetadata metadata) =>
        metadata.Read("kallsyms") is byte[] core && metadata.Read("kallsyms-boot") is byte[] boot ? TryRestore(core, boot) : null;

    /// <param name="core"><c>+OFFSET TYPE NAME</c> and <c>ADDRESS TYPE NAME</c> lines.</param>
    /// <param name="boot"><c>ADDRESS _text</c>, then lines as they were.</param>
    public static byte[]? TryRestore(ReadOnlySpan<byte> core, ReadOnlySpan<byte> boot)
    {
        int lineEnd = boot.IndexOf((byte)'\n');
        if (lineEnd < 0 || !TryParseHex(boot, out ulong text, out int digits) || !boot[digits..lineEnd].SequenceEqual(" _text"u8))
        {
            return null;
        }
        using MemoryStream target = new(core.Length + core.Length / 4 + boot.Length);
        Span<byte> address = stackalloc byte[AddressDigits];
        while (!core.IsEmpty)
        {
            int end = core.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? core : core[..end];
            core = end < 0 ? default : core[(end + 1)..];
            if (line.Length > 1 && line[0] == '+' && TryParseHex(line[1..], out ulong offset, out int offsetDigits))
            {
                (text + offset).TryFormat(address, out _, "x16", null);
                target.Write(address);
                line = line[(1 + offsetDigits)..];
            }
            target.Write(line);
            target.WriteByte((byte)'\n');
        }
        target.Write(boot[(lineEnd + 1)..]);
        return target.ToArray();
    }

    private static bool TryParseHex(ReadOnlySpan<byte> text, out ulong value, out int digits) => Utf8Parser.TryParse(text, out value, out digits, 'x');
}
