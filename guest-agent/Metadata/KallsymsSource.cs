using System.Buffers.Text;
using System.Numerics;
using VsockPair.GuestAgent.Files;

namespace VsockPair.GuestAgent.Metadata;

/// <summary>Which half of <c>/proc/kallsyms</c>.</summary>
internal enum KallsymsPart
{
    /// <summary>The kernel's own symbols, made independent of where this boot has put it.</summary>
    Core,

    /// <summary>Where that is, and what modules and the like have added.</summary>
    Boot,
}

/// <summary>
/// Rewrites <c>/proc/kallsyms</c> line by line (PROTOCOL.md §8), 7 MB on a Debian kernel and never in memory as a whole.
/// Core symbols below <c>_text</c> (per-CPU offsets) and those of type A do not move with the kernel and stay as they are.
/// </summary>
internal sealed class KallsymsSource : ByteSource
{
    private const int LongestLine = 1024;
    private const int AddressDigits = 16;

    private readonly KallsymsPart _part;
    private readonly ByteSource _lines;
    private readonly byte[] _input = GC.AllocateUninitializedArray<byte>(16384);
    private readonly byte[] _output = GC.AllocateUninitializedArray<byte>(LongestLine + 32);
    private readonly ulong _text;
    private int _inputStart;
    private int _inputEnd;
    private int _outputStart;
    private int _outputEnd;

    /// <param name="open">Opens <c>/proc/kallsyms</c>; read twice, because <c>_text</c> does not come first.</param>
    public KallsymsSource(Func<ByteSource> open, KallsymsPart part)
    {
        _part = part;
        _lines = open();
        ReadOnlySpan<byte> line;
        while (TryReadLine(out line) == 1)
        {
            if (TryParse(line, out ulong address, out _, out ReadOnlySpan<byte> name) && name.SequenceEqual("_text"u8))
            {
                _text = address;
                break;
            }
        }
        _lines.Dispose();
        _lines = open();
        _inputStart = _inputEnd = 0;
        if (part == KallsymsPart.Boot)
        {
            WriteHex(_text, digits: AddressDigits);
            Write(" _text\n"u8);
        }
    }

    /// <summary>The kernel shows zeros to those who may not see addresses (kptr_restrict): no symbol would have a place.</summary>
    public bool IsHidden => _text == 0;

    public override int Read(Span<byte> target)
    {
        int filled = 0;
        while (filled < target.Length)
        {
            if (_outputStart == _outputEnd)
            {
                int result = TryReadLine(out ReadOnlySpan<byte> line);
                if (result <= 0)
                {
                    return filled > 0 ? filled : result;
                }
                Rewrite(line);
            }
            int n = Math.Min(target.Length - filled, _outputEnd - _outputStart);
            _output.AsSpan(_outputStart, n).CopyTo(target[filled..]);
            _outputStart += n;
            filled += n;
        }
        return filled;
    }

    public override void Dispose() => _lines.Dispose();

    private void Rewrite(ReadOnlySpan<byte> line)
    {
        _outputStart = _outputEnd = 0;
        // A module's symbols end in "\t[name]"; so do those of BPF programs and trampolines.
        bool isCore = line[^1] != ']';
        if (isCore != (_part == KallsymsPart.Core))
        {
            return;
        }
        if (isCore && TryParse(line, out ulong address, out byte type, out _) && address >= _text && type is not ((byte)'A' or (byte)'a'))
        {
            ulong offset = address - _text;
            Write("+"u8);
            WriteHex(offset, digits: offset == 0 ? 1 : (BitOperations.Log2(offset) >> 2) + 1);
            line = line[line.IndexOf((byte)' ')..];
        }
        Write(line);
        Write("\n"u8);
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_output.AsSpan(_outputEnd));
        _outputEnd += bytes.Length;
    }

    // By hand: 120 000 times in a pass, and the library's formatter is larger than this class.
    private void WriteHex(ulong value, int digits)
    {
        for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
        {
            _output[_outputEnd++] = "0123456789abcdef"u8[(int)(value >> shift) & 0xF];
        }
    }

    // "ffffffff81000000 T _text"
    private static bool TryParse(ReadOnlySpan<byte> line, out ulong address, out byte type, out ReadOnlySpan<byte> name)
    {
        type = 0;
        name = default;
        if (!Utf8Parser.TryParse(line, out address, out int digits, 'x') || line.Length < digits + 4 || line[digits] != ' ' || line[digits + 2] != ' ')
        {
            return false;
        }
        type = line[digits + 1];
        name = line[(digits + 3)..];
        return true;
    }

    /// <returns>1 with a line, 0 at the end, or a negative error number.</returns>
    private int TryReadLine(out ReadOnlySpan<byte> line)
    {
        while (true)
        {
            ReadOnlySpan<byte> held = _input.AsSpan(_inputStart, _inputEnd - _inputStart);
            int end = held.IndexOf((byte)'\n');
            if (end > 0 && end <= LongestLine)
            {
                line = held[..end];
                _inputStart += end + 1;
                return 1;
            }
            line = default;
            if (end >= 0 || held.Length > LongestLine)
            {
                return -Linux.Errno.EINVAL;
            }
            held.CopyTo(_input);
            _inputEnd = held.Length;
            _inputStart = 0;
            int n = _lines.Read(_input.AsSpan(_inputEnd));
            if (n <= 0)
            {
                return n;
            }
            _inputEnd += n;
        }
    }
}
