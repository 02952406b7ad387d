using System.Buffers.Text;

namespace VsockPair.Decoding;

/// <summary>
/// <c>saved_cmdlines</c>: which thread had which name, as far as the kernel remembered. The kernel writes names as they are, so a thread whose name has a line feed in it
/// writes a line of its own choice, or one that is none; it costs no other thread its name.
/// </summary>
public sealed class CommandLines
{
    /// <summary>The kernel keeps 128 unless told otherwise.</summary>
    private const int MaxNames = 1 << 17;

    /// <summary>The kernel's have 15, of kernel threads with what they do behind it up to 63. A name is printed with each event.</summary>
    public const int MaxNameBytes = 64;

    /// <summary><c>PID_MAX_LIMIT</c> of 64-bit kernels. It also keeps a guest from choosing numbers that a hash table is slow with.</summary>
    public const int MaxPid = 1 << 22;

    private static ReadOnlySpan<byte> WhiteSpace => " \t\v\f\r\n"u8;

    private readonly Dictionary<int, byte[]> _names = [];

    public CommandLines(ReadOnlySpan<byte> text)
    {
        LineReader lines = new(text);
        while (_names.Count < MaxNames && lines.TryRead(out ReadOnlySpan<byte> line))
        {
            if (Utf8Parser.TryParse(line, out int pid, out int digits) && pid is >= 0 and <= MaxPid && line.Length > digits && line[digits] == ' ')
            {
                // White space before a name is lost on trace-cmd, which reads it with scanf. At a name of nothing else it stops reading.
                ReadOnlySpan<byte> name = line[digits..].TrimStart(WhiteSpace);
                int end = name.IndexOf((byte)0);
                name = end < 0 ? name : name[..end];
                name = name[..Math.Min(name.Length, MaxNameBytes)];
                if (!name.IsEmpty)
                {
                    // The kernel has each thread once. The one that a name has made up cannot be told from it.
                    _names.TryAdd(pid, name.ToArray());
                }
            }
        }
    }

    public IReadOnlyDictionary<int, byte[]> Names => _names;

    /// <summary>Whether a line can say this name.</summary>
    public static bool CanHold(ReadOnlySpan<byte> name) => !name.IsEmpty && !WhiteSpace.Contains(name[0]) && !name.Contains((byte)'\n');

    /// <summary>As trace-cmd has it: <c>&lt;idle&gt;</c> for 0, <c>&lt;...&gt;</c> for a thread that is not known.</summary>
    public ReadOnlySpan<byte> Find(int pid) => pid == 0 ? "<idle>"u8 : _names.TryGetValue(pid, out byte[]? name) ? name : "<...>"u8;
}
