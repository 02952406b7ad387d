namespace VsockPair.Linux;

/// <summary>Error numbers of <c>asm-generic/errno-base.h</c> and <c>asm-generic/errno.h</c>, the same on x86-64 and arm64.</summary>
public static class Errno
{
    public const int EPERM = 1;
    public const int ENOENT = 2;
    public const int EINTR = 4;
    public const int EIO = 5;
    public const int ENXIO = 6;
    public const int EAGAIN = 11;
    public const int ENOMEM = 12;
    public const int EACCES = 13;
    public const int EBUSY = 16;
    public const int EEXIST = 17;
    public const int EXDEV = 18;
    public const int ENODEV = 19;
    public const int ENOTDIR = 20;
    public const int EINVAL = 22;
    public const int ENFILE = 23;
    public const int EMFILE = 24;
    public const int ENOSPC = 28;
    public const int EPIPE = 32;
    public const int EAFNOSUPPORT = 97;
    public const int EADDRINUSE = 98;
    public const int EADDRNOTAVAIL = 99;
    public const int ENETUNREACH = 101;
    public const int ECONNABORTED = 103;
    public const int ECONNRESET = 104;
    public const int ENOTCONN = 107;
    public const int ETIMEDOUT = 110;
    public const int ECONNREFUSED = 111;
    public const int EHOSTUNREACH = 113;
    public const int EINPROGRESS = 115;
    public const int EDQUOT = 122;

    /// <summary>Name and plain words for a message, e.g. <c>EPIPE (32), the other side is gone</c>.</summary>
    public static string Describe(int errno) => errno switch
    {
        EPERM => "EPERM (1), not permitted",
        ENOENT => "ENOENT (2), no such file",
        EIO => "EIO (5), input/output error",
        ENXIO => "ENXIO (6), no such device",
        EAGAIN => "EAGAIN (11), nothing there within the time limit",
        ENOMEM => "ENOMEM (12), no memory",
        EACCES => "EACCES (13), access denied",
        EBUSY => "EBUSY (16), in use",
        EEXIST => "EEXIST (17), exists already",
        ENODEV => "ENODEV (19), no such device",
        ENOTDIR => "ENOTDIR (20), not a directory",
        EINVAL => "EINVAL (22), invalid argument",
        ENFILE => "ENFILE (23), too many open files in the whole system",
        EMFILE => "EMFILE (24), too many open files",
        ENOSPC => "ENOSPC (28), no space left",
        EPIPE => "EPIPE (32), the other side is gone",
        EAFNOSUPPORT => "EAFNOSUPPORT (97), address family not supported (is the vsock module loaded?)",
        EADDRINUSE => "EADDRINUSE (98), address in use",
        EADDRNOTAVAIL => "EADDRNOTAVAIL (99), address not available",
        ENETUNREACH => "ENETUNREACH (101), no transport to that CID",
        ECONNABORTED => "ECONNABORTED (103), gone before it was accepted",
        ECONNRESET => "ECONNRESET (104), reset by the other side",
        ENOTCONN => "ENOTCONN (107), not connected",
        ETIMEDOUT => "ETIMEDOUT (110), timed out",
        ECONNREFUSED => "ECONNREFUSED (111), nobody listens there",
        EHOSTUNREACH => "EHOSTUNREACH (113), no route",
        EDQUOT => "EDQUOT (122), disk quota exceeded",
        _ => $"errno {errno}",
    };
}
