using System.Text;
using static VsockPair.Linux.Constants;

namespace VsockPair.Linux;

/// <summary>Stream sockets of the two families that VsockPair speaks: AF_VSOCK, and AF_UNIX for hybrid vsock (the VMM's socket on the host).</summary>
public static unsafe class StreamSocket
{
    /// <summary>Window of a bulk connection, both ends: below 1 MiB each partial credit grant makes a short packet.</summary>
    public const int BulkWindowBytes = 1 << 20;

    /// <summary>First and last source port that shows a peer with CAP_NET_BIND_SERVICE (vsock(7)).</summary>
    public const uint LastPrivilegedPort = 1023;
    private const uint FirstPrivilegedPort = 512;

    /// <summary>Connects within <paramref name="timeout"/>.</summary>
    /// <param name="privileged">Takes a source port below 1024, which needs CAP_NET_BIND_SERVICE.</param>
    /// <param name="windowBytes">Receive and send window, or 0 for the kernel's own (256 KiB).</param>
    /// <exception cref="LinuxException">No socket, no privileged port, or no connection.</exception>
    public static Fd ConnectVsock(VsockAddress host, bool privileged, int windowBytes, TimeSpan timeout)
    {
        string subject = $"vsock {host.ToString()}";
        Fd fd = Fd.Own(Sys.Socket(AF_VSOCK, SOCK_STREAM), "socket", subject);
        try
        {
            if (windowBytes > 0)
            {
                SetVsockWindow(fd.Value, windowBytes, subject);
            }
            if (privileged)
            {
                BindPrivileged(fd.Value);
            }
            Timeval limit = ToTimeval(timeout);
            LinuxException.Check(Sys.SetOption(fd.Value, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, limit), "setsockopt CONNECT_TIMEOUT", subject);
            SockaddrVm peer = new() { Family = AF_VSOCK, Cid = host.Cid, Port = host.Port };
            LinuxException.Check(Sys.Connect(fd.Value, &peer, sizeof(SockaddrVm)), "connect", subject);
            return fd;
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Non-blocking listener; accepted sockets inherit the window.</summary>
    /// <exception cref="LinuxException">No AF_VSOCK, no right to the port, or the port is taken.</exception>
    public static Fd ListenVsock(VsockAddress address, int windowBytes)
    {
        string subject = $"vsock {address.ToString()}";
        Fd fd = Fd.Own(Sys.Socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK), "socket", subject);
        try
        {
            SetVsockWindow(fd.Value, windowBytes, subject);
            SockaddrVm own = new() { Family = AF_VSOCK, Cid = address.Cid, Port = address.Port };
            LinuxException.Check(Sys.Bind(fd.Value, &own, sizeof(SockaddrVm)), "bind", subject);
            LinuxException.Check(Sys.Listen(fd.Value, 1024), "listen", subject);
            return fd;
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Non-blocking listener on a path that does not exist yet, for this user and its group (0660).</summary>
    public static Fd ListenUnix(string path)
    {
        Fd fd = Fd.Own(Sys.Socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK), "socket", path);
        try
        {
            LinuxException.Check(BindForGroup(fd.Value, UnixAddress(path)), "bind", path);
            LinuxException.Check(Sys.Listen(fd.Value, 1024), "listen", path);
            return fd;
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <param name="nonBlocking">Fails with EAGAIN instead of waiting for a listener whose queue is full.</param>
    public static Fd ConnectUnix(string path, bool nonBlocking = false)
    {
        Fd fd = Fd.Own(Sys.Socket(AF_UNIX, SOCK_STREAM | (nonBlocking ? SOCK_NONBLOCK : 0)), "socket", path);
        try
        {
            SockaddrUn peer = UnixAddress(path);
            LinuxException.Check(Sys.Connect(fd.Value, &peer, sizeof(SockaddrUn)), "connect", path);
            return fd;
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Accepts one waiting connection, non-blocking.</summary>
    /// <returns>The descriptor, or a negative error number: EAGAIN when none waits.</returns>
    /// <param name="peer">The peer's CID and port; zero for AF_UNIX.</param>
    public static int Accept(int listener, out VsockAddress peer)
    {
        SockaddrUn storage = default;
        int bytes = sizeof(SockaddrUn);
        int fd = Sys.Accept(listener, &storage, ref bytes, SOCK_NONBLOCK);
        SockaddrVm* vm = (SockaddrVm*)&storage;
        peer = fd >= 0 && storage.Family == AF_VSOCK ? new VsockAddress(vm->Cid, vm->Port) : default;
        return fd;
    }

    /// <summary>SO_PEERCRED of socket(7): who has connected, or, for who connected, whoever called listen(2).</summary>
    /// <param name="process">0 when it is in a PID namespace that is not seen from here.</param>
    public static void PeerOf(System.Net.Sockets.Socket unix, out int process, out uint user)
    {
        Span<byte> credentials = stackalloc byte[12]; // struct ucred: pid, uid, gid.
        unix.GetRawSocketOption(SOL_SOCKET, SO_PEERCRED, credentials);
        process = BitConverter.ToInt32(credentials);
        user = BitConverter.ToUInt32(credentials[4..]);
    }

    /// <summary>Bounds every blocking send and receive on this socket; they answer EAGAIN at the limit.</summary>
    public static void SetTimeouts(int fd, TimeSpan send, TimeSpan receive)
    {
        LinuxException.Check(Sys.SetOption(fd, SOL_SOCKET, SO_SNDTIMEO, ToTimeval(send)), "setsockopt SO_SNDTIMEO", "socket");
        LinuxException.Check(Sys.SetOption(fd, SOL_SOCKET, SO_RCVTIMEO, ToTimeval(receive)), "setsockopt SO_RCVTIMEO", "socket");
    }

    /// <summary>Sockets that it accepts later inherit the window.</summary>
    public static void SetVsockWindow(int fd, int bytes, string subject)
    {
        // The maximum first: af_vsock clamps the size to it (vsock_update_buffer_size).
        LinuxException.Check(Sys.SetOption(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, (ulong)bytes), "setsockopt BUFFER_MAX_SIZE", subject);
        LinuxException.Check(Sys.SetOption(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, (ulong)bytes), "setsockopt BUFFER_SIZE", subject);
    }

    /// <summary>
    /// A socket's file has mode 0777 without the umask (unix_bind), and the threads of a process share that. A chmod(2) afterwards would follow the link that the
    /// owner of the folder, a VMM perhaps, has put in its place meanwhile: so the file is made by a thread that has a umask of its own.
    /// </summary>
    private static int BindForGroup(int fd, SockaddrUn address)
    {
        const uint NotForGroup = 0x4F; // 0117
        int result = 0;
        Thread thread = new(() =>
        {
            SockaddrUn own = address;
            result = Sys.Unshare(CLONE_FS);
            if (result == 0)
            {
                Sys.SetFileModeMask(NotForGroup);
                result = Sys.Bind(fd, &own, sizeof(SockaddrUn));
            }
        });
        thread.Start();
        thread.Join();
        return result;
    }

    private static void BindPrivileged(int fd)
    {
        // Never the same port first: a VMM may still hold the connection that this guest had from it before it was reset, and then answers no other.
        const uint Ports = LastPrivilegedPort - FirstPrivilegedPort + 1;
        uint start = (uint)(Sys.Now(CLOCK_REALTIME) / 1000 % Ports);
        for (uint i = 0; i < Ports; i++)
        {
            uint port = FirstPrivilegedPort + (start + i) % Ports;
            SockaddrVm own = new() { Family = AF_VSOCK, Cid = VMADDR_CID_ANY, Port = port };
            int result = Sys.Bind(fd, &own, sizeof(SockaddrVm));
            if (result == 0)
            {
                return;
            }
            if (result != -Errno.EADDRINUSE)
            {
                throw new LinuxException("bind", -result, $"vsock source port {port}, needs CAP_NET_BIND_SERVICE");
            }
        }
        throw new LinuxException("bind", Errno.EADDRINUSE, "every vsock source port from 512 to 1023");
    }

    private static SockaddrUn UnixAddress(string path)
    {
        SockaddrUn address = new() { Family = AF_UNIX };
        int bytes = Encoding.UTF8.GetByteCount(path);
        if (bytes >= SockaddrUn.PathBytes)
        {
            throw new LinuxException("bind", Errno.EINVAL, $"{path}: a unix socket path has at most {SockaddrUn.PathBytes - 1} bytes");
        }
        Encoding.UTF8.GetBytes(path, new Span<byte>(address.Path, SockaddrUn.PathBytes));
        return address;
    }

    private static Timeval ToTimeval(TimeSpan time) => new()
    {
        Seconds = time.Ticks / TimeSpan.TicksPerSecond,
        Microseconds = time.Ticks % TimeSpan.TicksPerSecond / TimeSpan.TicksPerMicrosecond,
    };
}
