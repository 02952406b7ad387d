namespace VsockPair.Decoding.Printing;

/// <summary>
/// What trace-cmd calls a thread: as <c>saved_cmdlines</c> does, else as the first scheduler event that names it. At the beginning of a trace it is the other way round.
/// </summary>
/// <remarks>
/// libtraceevent keeps names in a list until it looks up the first one, which is at the first event of a thread other than the idle one, and only then
/// sorts them by thread and refuses a second name. What events of the idle thread name before that, as threads that it wakes and switches to, is in the list beside what
/// <c>saved_cmdlines</c> says, and where the two differ <c>bsearch</c> finds either, depending on the number of all the other names. Threads that were just made, and take their
/// own name a moment later, do that. Of the two only the event's can be had always: <c>saved_cmdlines</c> of a .dat is ours to write (<c>Export/SavedNames</c>), its events are not.
/// </remarks>
internal sealed class ThreadNames(CommandLines saved)
{
    /// <summary>As many threads as a kernel has by default at most (<c>kernel.pid_max</c> of small machines).</summary>
    private const int MaxTold = 32768;

    private readonly Dictionary<int, byte[]> _told = [];

    /// <summary>From now on no event changes a name that is known.</summary>
    public bool AreSettled { get; private set; }

    /// <summary>What events have told so far stays.</summary>
    public void Use(CommandLines newer) => saved = newer;

    public ReadOnlySpan<byte> Of(int pid)
    {
        AreSettled |= pid != 0;
        return pid != 0 && _told.TryGetValue(pid, out byte[]? name) ? name : saved.Find(pid);
    }

    /// <summary>An event names a thread. Its first name stays.</summary>
    public void Learn(int pid, ReadOnlySpan<byte> name)
    {
        if (pid is > 0 and <= CommandLines.MaxPid && _told.Count < MaxTold && !_told.ContainsKey(pid) && !(AreSettled && saved.Names.ContainsKey(pid)))
        {
            _told.Add(pid, name[..Math.Min(name.Length, CommandLines.MaxNameBytes)].ToArray());
        }
    }
}
