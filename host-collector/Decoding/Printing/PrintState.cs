namespace VsockPair.Decoding.Printing;

/// <summary>
/// What printing remembers from event to event, because trace-cmd does: names of threads that scheduler events have told, and who called whom on each CPU.
/// Both are limited: a guest decides what is in them.
/// </summary>
internal sealed class PrintState(CommandLines saved)
{
    /// <summary>Of the event at hand.</summary>
    public int Cpu { get; set; }

    /// <summary>Of the event at hand.</summary>
    public ulong TimeStamp { get; set; }

    public CallStacks Calls { get; } = new();

    public ThreadNames Names { get; } = new(saved);
}
