using VsockPair.Linux;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent.Connections;

/// <summary>Waits for a non-blocking socket, and for whoever wants the waiting thread's attention.</summary>
internal static class SocketWait
{
    /// <summary>Returns when the socket is ready, broken, or <paramref name="wake"/> was set (which it clears), or after the time limit.</summary>
    public static void For(int socket, short events, WakeEvent wake, int timeoutMilliseconds)
    {
        Span<PollFd> fds = [new PollFd { Fd = socket, Events = events }, new PollFd { Fd = wake.FdValue, Events = POLLIN }];
        LinuxException.Check(Sys.Poll(fds, timeoutMilliseconds), "poll", "socket");
        if (fds[1].Revents != 0)
        {
            wake.Clear();
        }
    }

    /// <summary>Sleeps until the time is over or <paramref name="wake"/> was set, which it clears.</summary>
    public static void Sleep(WakeEvent wake, int milliseconds)
    {
        Span<PollFd> fds = [new PollFd { Fd = wake.FdValue, Events = POLLIN }];
        if (LinuxException.Check(Sys.Poll(fds, milliseconds), "poll", "wake event") > 0)
        {
            wake.Clear();
        }
    }

    /// <summary>Blocking splices and sends cannot be woken, so no socket stays blocking.</summary>
    public static void MakeNonBlocking(int socket) =>
        LinuxException.Check(Sys.Fcntl(socket, F_SETFL, O_NONBLOCK), "fcntl F_SETFL", "socket");

    /// <summary>Looks at a socket on which nothing is expected any more.</summary>
    /// <returns>False when the other side closed it, or sent what it must not.</returns>
    public static unsafe bool IsOpen(int socket)
    {
        byte unexpected;
        return Sys.Recv(socket, &unexpected, 1, MSG_DONTWAIT) == -Errno.EAGAIN;
    }
}
