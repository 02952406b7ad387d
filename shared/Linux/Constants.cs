namespace VsockPair.Linux;

/// <summary>
/// Numbers of the kernel's and libc's headers (x86-64; the same on arm64 where used), named as there.
/// <c>LayoutTests</c> compiles a C program against the real headers and compares every one.
/// </summary>
public static class Constants
{
    // sys/socket.h, linux/vm_sockets.h
    public const int AF_UNIX = 1;
    public const int AF_VSOCK = 40;
    public const int SOCK_STREAM = 1;
    public const int SOCK_CLOEXEC = 0x80000;
    public const int SOCK_NONBLOCK = 0x800;
    public const int SOL_SOCKET = 1;
    public const int SO_ERROR = 4;
    public const int SO_SNDBUF = 7;
    public const int SO_RCVBUF = 8;
    public const int SO_PEERCRED = 17;
    public const int SO_RCVLOWAT = 18;
    public const int SO_ACCEPTCONN = 30;
    public const int SO_DOMAIN = 39;
    public const int SO_RCVTIMEO = 20;
    public const int SO_SNDTIMEO = 21;
    public const int SO_VM_SOCKETS_BUFFER_SIZE = 0;
    public const int SO_VM_SOCKETS_BUFFER_MAX_SIZE = 2;
    public const int SO_VM_SOCKETS_CONNECT_TIMEOUT = 6;
    public const int MSG_PEEK = 0x2;
    public const int MSG_DONTWAIT = 0x40;
    public const int MSG_NOSIGNAL = 0x4000;
    public const int SCM_RIGHTS = 1;
    public const int SHUT_WR = 1;
    public const int SHUT_RDWR = 2;
    public const uint VMADDR_CID_ANY = 0xFFFFFFFF;
    public const uint VMADDR_CID_LOCAL = 1;
    public const uint VMADDR_CID_HOST = 2;
    public const uint VMADDR_PORT_ANY = 0xFFFFFFFF;

    // fcntl.h
    public const int O_RDONLY = 0;
    public const int O_WRONLY = 1;
    public const int O_RDWR = 2;
    public const int O_CREAT = 0x40;
    public const int O_EXCL = 0x80;
    public const int O_TRUNC = 0x200;
    public const int O_NONBLOCK = 0x800;
    public const int O_NOFOLLOW = 0x20000;
    public const int O_CLOEXEC = 0x80000;
    public const int F_SETFL = 4;
    public const int F_SETFD = 2;
    public const int FD_CLOEXEC = 1;
    public const int F_GETPIPE_SZ = 1032;
    public const int F_SETPIPE_SZ = 1031;
    public const uint SPLICE_F_NONBLOCK = 2;

    // linux/memfd.h
    public const uint MFD_CLOEXEC = 1;

    // linux/sched.h
    /// <summary>Root, current folder and umask.</summary>
    public const int CLONE_FS = 0x200;

    // sys/file.h
    public const int LOCK_EX = 2;
    public const int LOCK_NB = 4;
    public const int LOCK_UN = 8;

    // poll.h, sys/epoll.h, sys/eventfd.h
    public const short POLLIN = 1;
    public const short POLLOUT = 4;
    public const short POLLERR = 8;
    public const short POLLHUP = 0x10;
    public const int EPOLL_CTL_ADD = 1;
    public const int EPOLL_CTL_DEL = 2;
    public const int EPOLL_CTL_MOD = 3;
    public const uint EPOLLIN = 1;
    public const uint EPOLLERR = 8;
    public const uint EPOLLHUP = 0x10;
    public const uint EPOLLRDHUP = 0x2000;
    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EFD_CLOEXEC = 0x80000;
    public const int EFD_NONBLOCK = 0x800;

    // unistd.h
    public const int SEEK_SET = 0;

    // sched.h
    public const int SCHED_IDLE = 5;

    // sys/prctl.h
    public const int PR_SET_NO_NEW_PRIVS = 38;

    // sys/resource.h
    public const int RLIMIT_DATA = 2;
    public const int RLIMIT_CORE = 4;
    public const int RLIMIT_NOFILE = 7;
    public const int RLIMIT_AS = 9;

    // sys/syscall.h
    public const int SYS_ioprio_set = 251;

    // asm-generic/unistd.h
    public const int __NR_ioprio_set = 30;

    // linux/ioprio.h
    public const int IOPRIO_WHO_PROCESS = 1;
    public const int IOPRIO_CLASS_IDLE = 3;
    public const int IOPRIO_CLASS_SHIFT = 13;

    // time.h
    public const int CLOCK_REALTIME = 0;
    public const int CLOCK_MONOTONIC = 1;
    public const int CLOCK_THREAD_CPUTIME_ID = 3;
    public const int CLOCK_BOOTTIME = 7;
}
