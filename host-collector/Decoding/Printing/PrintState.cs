namespace VsockPair.Decoding.Printing;

/// <summary>
/// What printing remembers from event to event, because trace-cmd does: names of threads that scheduler events have told, and who called whom on each CPU.
/// Both are limited: a guest decides what is in them.
/// </summary>
internal sealed class PrintState(CommandLines known)
{
    /// <summary>As many threads as a kernel has by default at most (<c>kernel.pid_max</c> of small machines).</summary>
    private const int MaxLearned = 32768;

    private readonly Dictionary<int, byte[]> _learned = [];

    /// <summary>Of the event at hand.</summary>
    public int Cpu { get; set; }

    /// <summary>Of the event at hand.</summary>
    public ulong TimeStamp { get; set; }

    public CallStacks Calls { get; } = new();

    public ReadOnlySpan<byte> NameOf(int pid) =>
        !known.Names.ContainsKey(pid) && _learned.TryGetValue(pid, out byte[]? name) ? name : known.Find(pid);

    /// <summary>The first name of a thread stays: what <c>saved_cmdlines</c> says comes before it.</summary>
    public void Learn(int pid, ReadOnlySpan<byte> name)
    {
        if (pid != 0 && _learned.Count < MaxLearned && !_learned.ContainsKey(pid) && !known.Names.ContainsKey(pid))
        {
            _learned.Add(pid, name.ToArray());
        }
    }
}
