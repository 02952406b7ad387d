using System.Buffers.Text;

namespace VsockPair.Decoding;

/// <summary><c>saved_cmdlines</c>: which thread had which name, as far as the kernel remembered.</summary>
public sealed class CommandLines
{
    /// <summary>The kernel keeps 128 unless told otherwise.</summary>
    private const int MaxNames = 1 << 17;

    private readonly Dictionary<int, byte[]> _names = [];

    public CommandLines(ReadOnlySpan<byte> text)
    {
        LineReader lines = new(text);
        while (_names.Count < MaxNames && lines.TryRead(out ReadOnlySpan<byte> line))
        {
            if (Utf8Parser.TryParse(line, out int pid, out int digits) && line.Length > digits + 1 && line[digits] == ' ')
            {
                _names[pid] = line[(digits + 1)..].ToArray();
            }
        }
    }

    public IReadOnlyDictionary<int, byte[]> Names => _names;

    /// <summary>As trace-cmd has it: <c>&lt;idle&gt;</c> for 0, <c>&lt;...&gt;</c> for a thread that is not known.</summary>
    public ReadOnlySpan<byte> Find(int pid) => pid == 0 ? "<idle>"u8 : _names.TryGetValue(pid, out byte[]? name) ? name : "<...>"u8;
}
