namespace VsockPair.Linux;

/// <summary>An eventfd that wakes a thread out of <c>poll</c> or <c>epoll_wait</c>. Set from any thread, cleared by the one that waits.</summary>
public sealed unsafe class WakeEvent : IDisposable
{
    private readonly Fd _fd = Fd.Own(Sys.EventFd(), "eventfd", "wake event");

    public int FdValue => _fd.Value;

    public void Set()
    {
        ulong one = 1;
        // EAGAIN means that the counter is at its end: the event is set already.
        _ = Sys.Write(_fd.Value, &one, sizeof(ulong));
    }

    public void Clear()
    {
        ulong count;
        // EAGAIN means that it was not set.
        _ = Sys.Read(_fd.Value, &count, sizeof(ulong));
    }

    public void Dispose() => _fd.Dispose();
}
