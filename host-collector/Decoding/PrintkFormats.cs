using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;

namespace VsockPair.Decoding;

/// <summary><c>printk_formats</c>: the constant strings that events name by their address, <c>trace_printk</c>'s formats among them.</summary>
public sealed class PrintkFormats
{
    private const int MaxTexts = 1 << 17;

    private readonly Dictionary<ulong, byte[]> _texts = [];

    public PrintkFormats(ReadOnlySpan<byte> text)
    {
        LineReader lines = new(text);
        while (_texts.Count < MaxTexts && lines.TryRead(out ReadOnlySpan<byte> line))
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
            _texts[address] = (quoted.EndsWith("\\n"u8) ? quoted[..^2] : quoted).ToArray();
        }
    }

    /// <summary>As the file shows them, with backslashes, and without the <c>\n</c> at the end.</summary>
    public bool TryFind(ulong address, [NotNullWhen(true)] out byte[]? text) => _texts.TryGetValue(address, out text);
}
