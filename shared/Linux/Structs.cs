using System.Runtime.InteropServices;

namespace VsockPair.Linux;

/// <summary><c>struct sockaddr_vm</c> of <c>linux/vm_sockets.h</c>, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SockaddrVm
{
    public ushort Family;
    public ushort Reserved;
    public uint Port;
    public uint Cid;
    public uint FlagsAndZero;
}

/// <summary><c>struct sockaddr_un</c> of <c>sys/un.h</c>, 110 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct SockaddrUn
{
    /// <summary>Longest path in bytes, its closing zero included.</summary>
    public const int PathBytes = 108;

    public ushort Family;
    public fixed byte Path[PathBytes];
}

/// <summary><c>struct pollfd</c> of <c>poll.h</c>, 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PollFd
{
    public int Fd;
    public short Events;
    public short Revents;
}

/// <summary><c>struct timespec</c> of <c>time.h</c>, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Timespec
{
    public long Seconds;
    public long Nanoseconds;
}

/// <summary><c>struct timeval</c> of <c>sys/time.h</c>, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Timeval
{
    public long Seconds;
    public long Microseconds;
}

/// <summary><c>struct rlimit</c> of <c>sys/resource.h</c>, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Rlimit
{
    public ulong Current;
    public ulong Maximum;
}
