using System.Buffers.Text;

namespace VsockPair.Decoding;

/// <summary><c>thread_groups</c> (PROTOCOL.md §8): which process a thread belonged to when the guest last looked. A thread that is not in it may be a process of its own.</summary>
public sealed class ThreadGroups
{
    private const int MaxThreads = 1 << 17;

    private readonly Dictionary<int, int> _processes = [];

    public ThreadGroups(ReadOnlySpan<byte> text)
    {
        LineReader lines = new(text);
        while (lines.TryRead(out ReadOnlySpan<byte> line))
        {
            if (TryNumber(ref line, out int process))
            {
                while (_processes.Count < MaxThreads && TryNumber(ref line, out int thread))
                {
                    _processes.TryAdd(thread, process);
                }
            }
        }
    }

    /// <summary>Thread → process, the main threads included.</summary>
    public IReadOnlyDictionary<int, int> Processes => _processes;

    public int ProcessOf(int thread) => _processes.GetValueOrDefault(thread, thread);

    /// <summary>Takes a number above 0 and the space behind it.</summary>
    private static bool TryNumber(ref ReadOnlySpan<byte> line, out int number)
    {
        if (!Utf8Parser.TryParse(line, out number, out int digits) || number is <= 0 or > CommandLines.MaxPid || (digits < line.Length && line[digits] != ' '))
        {
            return false;
        }
        line = line[Math.Min(line.Length, digits + 1)..];
        return true;
    }
}
