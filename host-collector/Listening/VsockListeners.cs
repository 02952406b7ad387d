using System.Globalization;
using VsockPair.Linux;
using VsockPair.Options;
using static VsockPair.Linux.Constants;

namespace VsockPair.Listening;

/// <summary>The AF_VSOCK listeners: those that a socket unit hands over (sd_listen_fds(3)), or else those of the configuration.</summary>
internal static class VsockListeners
{
    private const int FirstInherited = 3;

    /// <exception cref="LinuxException">One cannot be bound.</exception>
    public static IReadOnlyList<Listener> Open(IEnumerable<ListenSpec> specs)
    {
        List<Listener> inherited = TakeInherited(
            Environment.GetEnvironmentVariable("LISTEN_PID"), Environment.GetEnvironmentVariable("LISTEN_FDS"));
        return inherited.Count > 0
            ? inherited
            : [.. specs.OfType<VsockListen>().Select(s => new Listener(StreamSocket.ListenVsock(s.Address, StreamSocket.BulkWindowBytes), s.ToString(), Guest: null))];
    }

    private static List<Listener> TakeInherited(string? pid, string? count)
    {
        List<Listener> listeners = [];
        if (pid != Environment.ProcessId.ToString(CultureInfo.InvariantCulture) || !int.TryParse(count, out int fds))
        {
            return listeners;
        }
        for (int fd = FirstInherited; fd < FirstInherited + fds; fd++)
        {
            string subject = $"inherited descriptor {fd}";
            LinuxException.Check(Sys.GetOption(fd, SOL_SOCKET, SO_DOMAIN, out int domain), "getsockopt SO_DOMAIN", subject);
            if (domain != AF_VSOCK)
            {
                throw new LinuxException("listen", Errno.EAFNOSUPPORT, $"{subject}: a socket unit for serve has ListenStream=vsock::829 only");
            }
            LinuxException.Check(Sys.GetOption(fd, SOL_SOCKET, SO_ACCEPTCONN, out int listens), "getsockopt SO_ACCEPTCONN", subject);
            if (listens == 0)
            {
                throw new LinuxException("accept", Errno.EINVAL, $"{subject}: it does not listen; a socket unit for serve has Accept=no");
            }
            LinuxException.Check(Sys.Fcntl(fd, F_SETFD, FD_CLOEXEC), "fcntl F_SETFD", subject);
            LinuxException.Check(Sys.Fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl F_SETFL", subject);
            StreamSocket.SetVsockWindow(fd, StreamSocket.BulkWindowBytes, subject);
            listeners.Add(new Listener(new Fd(fd), $"vsock (socket unit, descriptor {fd})", Guest: null));
        }
        return listeners;
    }
}
