using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;

namespace VsockPair.Decoding;

/// <summary>
/// <c>printk_formats</c>: the constant strings that events name by their address, <c>trace_printk</c>'s formats among them. Sorted and not hashed: the guest chooses the
/// addresses.
/// </summary>
public sealed class PrintkFormats
{
    private const int MaxTexts = 1 << 17;

    private readonly ulong[] _addresses;
    private readonly byte[][] _texts;

    public PrintkFormats(ReadOnlySpan<byte> text)
    {
        List<(ulong Address, byte[] Text)> found = [];
        LineReader lines = new(text);
        while (found.Count < MaxTexts && lines.TryRead(out ReadOnlySpan<byte> line))
        {
            // 0xffffffff82345678 : "text\n"
            int colon = line.IndexOf((byte)':');
            if (colon < 0 || !line.StartsWith("0x"u8) || !Utf8Parser.TryParse(line[2..], out ulong address, out _, 'x'))
            {
                continue;
            }
            ReadOnlySpan<byte> quoted = line[(colon + 1)..].TrimStart((byte)' ');
            quoted = quoted is [(byte)'"', ..] ? quoted[1..] : quoted;
            quoted = quoted is [.., (byte)'"'] ? quoted[..^1] : quoted;
            found.Add((address, (quoted.EndsWith("\\n"u8) ? quoted[..^2] : quoted).ToArray()));
        }
        // Of several with one address the last holds.
        (ulong Address, byte[] Text)[] sorted = [.. found.OrderBy(f => f.Address)];
        sorted = [.. sorted.Where((f, i) => i + 1 == sorted.Length || sorted[i + 1].Address != f.Address)];
        _addresses = [.. sorted.Select(f => f.Address)];
        _texts = [.. sorted.Select(f => f.Text)];
    }

    /// <summary>As the file shows them, with backslashes, and without the <c>\n</c> at the end.</summary>
    public bool TryFind(ulong address, [NotNullWhen(true)] out byte[]? text)
    {
        int index = Array.BinarySearch(_addresses, address);
        text = index < 0 ? null : _texts[index];
        return text is not null;
    }
}
