using System.Runtime.InteropServices;
using System.Text;
using Tmds.Linux;
using TmdsLibC = Tmds.Linux.LibC;

namespace VsockPair.Linux;

/// <summary>
/// System calls in the kernel's own convention: a result ≥ 0, or the negative error number. Nothing allocates, nothing throws, EINTR is retried
/// (but by <see cref="Poll(Span{PollFd}, int)"/>, which reports it as "nothing ready"), and every descriptor is made close-on-exec.
/// Pointers given here are only used during the call.
/// </summary>
public static unsafe class Sys
{
    public static int Open(string path, int flags, uint mode = 0)
    {
        Span<byte> bytes = stackalloc byte[Encoding.UTF8.GetMaxByteCount(path.Length) + 1];
        bytes[Encoding.UTF8.GetBytes(path, bytes)] = 0;
        fixed (byte* p = bytes)
        {
            int fd;
            do
            {
                fd = TmdsLibC.open(p, flags | Constants.O_CLOEXEC, (mode_t)mode);
            }
            while (Interrupted(fd));
            return Result(fd);
        }
    }

    /// <summary>Makes one folder, its parent must be there.</summary>
    public static int MakeDirectory(string path, uint mode) => OnPath(path, &MakeDirectory, mode);

    /// <summary>Replaces what the new name meant, atomically.</summary>
    public static int Rename(string from, string to)
    {
        Span<byte> bytes = stackalloc byte[Encoding.UTF8.GetMaxByteCount(from.Length) + 1];
        bytes[Encoding.UTF8.GetBytes(from, bytes)] = 0;
        fixed (byte* p = bytes)
        {
            return OnPath(to, &RenameTo, (nuint)p);
        }
    }

    public static int RemoveDirectory(string path) => OnPath(path, &RemoveDirectory, 0);

    /// <summary>Size, and last modification in nanoseconds of CLOCK_REALTIME.</summary>
    public static int Status(int fd, out long bytes, out long modifiedNanoseconds)
    {
        stat status = default;
        int result = TmdsLibC.fstat(fd, &status);
        bytes = (long)status.st_size;
        modifiedNanoseconds = (long)status.st_mtim.tv_sec * 1_000_000_000 + (long)status.st_mtim.tv_nsec;
        return Result(result);
    }

    /// <returns>How many links what has this path has, or a negative error number.</returns>
    public static int LinkCount(string path)
    {
        stat status = default;
        int result = OnPath(path, &Status, (nuint)(&status));
        return result < 0 ? result : (int)(ulong)status.st_nlink;
    }

    public static void Close(int fd)
    {
        // close() must not be retried on EINTR: the descriptor is gone either way (close(2), NOTES).
        _ = TmdsLibC.close(fd);
    }

    public static int Read(int fd, void* buffer, int bytes)
    {
        nint n;
        do
        {
            n = (nint)TmdsLibC.read(fd, buffer, bytes);
        }
        while (Interrupted(n));
        return Result(n);
    }

    public static int Write(int fd, void* buffer, int bytes)
    {
        nint n;
        do
        {
            n = (nint)TmdsLibC.write(fd, buffer, bytes);
        }
        while (Interrupted(n));
        return Result(n);
    }

    public static int PRead(int fd, void* buffer, int bytes, long offset)
    {
        nint n;
        do
        {
            n = (nint)TmdsLibC.pread(fd, buffer, bytes, offset);
        }
        while (Interrupted(n));
        return Result(n);
    }

    public static int PWrite(int fd, void* buffer, int bytes, long offset)
    {
        nint n;
        do
        {
            n = (nint)TmdsLibC.pwrite(fd, buffer, bytes, offset);
        }
        while (Interrupted(n));
        return Result(n);
    }

    public static int Recv(int fd, void* buffer, int bytes, int flags)
    {
        nint n;
        do
        {
            n = (nint)TmdsLibC.recv(fd, buffer, bytes, flags);
        }
        while (Interrupted(n));
        return Result(n);
    }

    /// <summary>Never raises SIGPIPE.</summary>
    public static int Send(int fd, void* buffer, int bytes, int flags)
    {
        nint n;
        do
        {
            n = (nint)TmdsLibC.send(fd, buffer, bytes, flags | Constants.MSG_NOSIGNAL);
        }
        while (Interrupted(n));
        return Result(n);
    }

    /// <summary>Sends bytes, and with the first of them a descriptor, which the peer gets a duplicate of (SCM_RIGHTS of unix(7)). Never raises SIGPIPE.</summary>
    public static int SendWithFd(int socket, void* buffer, int bytes, int fd)
    {
        iovec data = new() { iov_base = buffer, iov_len = bytes };
        // CMSG_LEN and CMSG_SPACE of one int: the header's 16 bytes, the int, and what aligns it to 8.
        byte* control = stackalloc byte[sizeof(cmsghdr) + sizeof(long)];
        cmsghdr* header = (cmsghdr*)control;
        header->cmsg_len = sizeof(cmsghdr) + sizeof(int);
        header->cmsg_level = Constants.SOL_SOCKET;
        header->cmsg_type = Constants.SCM_RIGHTS;
        *(long*)(control + sizeof(cmsghdr)) = fd;
        msghdr message = new() { msg_iov = &data, msg_iovlen = 1, msg_control = control, msg_controllen = sizeof(cmsghdr) + sizeof(long) };
        nint n;
        do
        {
            n = (nint)TmdsLibC.sendmsg(socket, &message, Constants.MSG_NOSIGNAL);
        }
        while (Interrupted(n));
        return Result(n);
    }

    /// <summary>A file in memory that ends with its last descriptor.</summary>
    public static int MemoryFile(string name) => OnPath(name, &CreateMemoryFile, Constants.MFD_CLOEXEC);

    /// <summary>Offsets are always null: neither a trace file nor a socket can seek.</summary>
    public static int Splice(int source, int target, int bytes, uint flags)
    {
        nint n;
        do
        {
            n = (nint)TmdsLibC.splice(source, null, target, null, bytes, flags);
        }
        while (Interrupted(n));
        return Result(n);
    }

    /// <summary>Number of ready descriptors; 0 after the time limit or a signal. A negative limit waits for ever.</summary>
    public static int Poll(Span<PollFd> fds, int timeoutMilliseconds)
    {
        fixed (PollFd* p = fds)
        {
            int n = LibC.Poll(p, (ulong)fds.Length, timeoutMilliseconds);
            return n >= 0 ? n : Last() == Errno.EINTR ? 0 : -Last();
        }
    }

    public static int Socket(int family, int type) => Result(TmdsLibC.socket(family, type | Constants.SOCK_CLOEXEC, 0));

    public static int Bind(int fd, void* address, int bytes) => Result(TmdsLibC.bind(fd, (sockaddr*)address, bytes));

    /// <summary>The calling thread stops sharing what the flags say with the other threads of the process.</summary>
    public static int Unshare(int flags) => Result(TmdsLibC.unshare(flags));

    /// <summary>Never fails (umask(2)).</summary>
    public static void SetFileModeMask(uint mask) => TmdsLibC.umask((mode_t)mask);

    /// <summary>EINTR is not retried: the connection goes on in the background and a second call would answer EALREADY (connect(2)).</summary>
    public static int Connect(int fd, void* address, int bytes) => Result(TmdsLibC.connect(fd, (sockaddr*)address, bytes));

    public static int Listen(int fd, int backlog) => Result(TmdsLibC.listen(fd, backlog));

    public static int Accept(int fd, void* address, ref int bytes, int flags)
    {
        socklen_t length;
        int client;
        do
        {
            length = bytes;
            client = TmdsLibC.accept4(fd, (sockaddr*)address, &length, flags | Constants.SOCK_CLOEXEC);
        }
        while (Interrupted(client));
        bytes = (int)(uint)length;
        return Result(client);
    }

    public static int Shutdown(int fd, int how) => Result(TmdsLibC.shutdown(fd, how));

    public static int SetOption<T>(int fd, int level, int option, T value) where T : unmanaged =>
        Result(TmdsLibC.setsockopt(fd, level, option, &value, sizeof(T)));

    public static int GetOption(int fd, int level, int option, out int value)
    {
        int answer = 0;
        socklen_t length = sizeof(int);
        int result = TmdsLibC.getsockopt(fd, level, option, &answer, &length);
        value = answer;
        return Result(result);
    }

    public static int EpollCreate() => Result(TmdsLibC.epoll_create1(Constants.EPOLL_CLOEXEC));

    /// <param name="tag">Comes back in <see cref="EpollWait"/>.</param>
    public static int EpollControl(int epoll, int operation, int fd, uint events, int tag)
    {
        epoll_event e = default;
        e.events = (int)events;
        e.data.fd = tag;
        return Result(TmdsLibC.epoll_ctl(epoll, operation, fd, &e));
    }

    /// <summary>Fills the two spans; 0 after the time limit or a signal.</summary>
    public static int EpollWait(int epoll, Span<uint> events, Span<int> tags, int timeoutMilliseconds)
    {
        int capacity = Math.Min(Math.Min(events.Length, tags.Length), 256);
        epoll_event* ready = stackalloc epoll_event[capacity];
        int n = TmdsLibC.epoll_wait(epoll, ready, capacity, timeoutMilliseconds);
        if (n < 0)
        {
            return Last() == Errno.EINTR ? 0 : -Last();
        }
        for (int i = 0; i < n; i++)
        {
            events[i] = (uint)(int)ready[i].events;
            tags[i] = ready[i].data.fd;
        }
        return n;
    }

    public static int EventFd() => Result(TmdsLibC.eventfd(0, Constants.EFD_CLOEXEC | Constants.EFD_NONBLOCK));

    public static int Pipe(out int readEnd, out int writeEnd)
    {
        int* ends = stackalloc int[2];
        int result = TmdsLibC.pipe2(ends, Constants.O_CLOEXEC | Constants.O_NONBLOCK);
        (readEnd, writeEnd) = result == 0 ? (ends[0], ends[1]) : (-1, -1);
        return Result(result);
    }

    public static int Fcntl(int fd, int command, int argument) => Result(TmdsLibC.fcntl(fd, command, argument));

    public static long Seek(int fd, long offset, int whence)
    {
        long at = (long)TmdsLibC.lseek(fd, offset, whence);
        return at >= 0 ? at : -Last();
    }

    public static int Truncate(int fd, long bytes)
    {
        int result;
        do
        {
            result = TmdsLibC.ftruncate(fd, bytes);
        }
        while (Interrupted(result));
        return Result(result);
    }

    /// <summary>Takes the exclusive flock(2) of an open file, which ends with the process; EAGAIN when another has it.</summary>
    public static int TryLock(int fd) => Result(LibC.Flock(fd, Constants.LOCK_EX | Constants.LOCK_NB));

    /// <summary>Ends the flock(2) of an open file, also for whoever else has a duplicate of this descriptor.</summary>
    public static int Unlock(int fd) => Result(LibC.Flock(fd, Constants.LOCK_UN));

    public static int Fsync(int fd) => Result(TmdsLibC.fsync(fd));

    /// <summary>How many descriptors this process may have open, or as many as it may let itself have where that is less.</summary>
    public static int SetDescriptorLimit(ulong wanted)
    {
        Rlimit limit;
        int result = LibC.GetRlimit(Constants.RLIMIT_NOFILE, &limit);
        limit.Current = Math.Min(wanted, limit.Maximum);
        return result < 0 ? -Last() : Result(LibC.SetRlimit(Constants.RLIMIT_NOFILE, &limit));
    }

    public static int CurrentThreadId() => LibC.GetTid();

    /// <summary>Keeps the calling thread on one CPU. The kernel undoes it by itself when that CPU goes offline.</summary>
    public static int PinThread(int cpu)
    {
        int bytes = (cpu / 64 + 1) * 8;
        byte* mask = stackalloc byte[bytes];
        new Span<byte>(mask, bytes).Clear();
        mask[cpu / 8] = (byte)(1 << (cpu % 8));
        return Result(LibC.SchedSetAffinity(0, (nuint)bytes, mask));
    }

    /// <summary>The calling thread gets a CPU, and with schedulers that know it the disk, when nobody else wants it.</summary>
    public static int MakeThreadIdle()
    {
        int priority = 0;
        int result = Result(LibC.SchedSetScheduler(0, Constants.SCHED_IDLE, &priority));
        // arm64 has the numbers of asm-generic, x86-64 its own.
        long call = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? Constants.SYS_ioprio_set : Constants.__NR_ioprio_set;
        return result < 0 ? result : Result((nint)LibC.IoPrioSet(call, Constants.IOPRIO_WHO_PROCESS, 0, Constants.IOPRIO_CLASS_IDLE << Constants.IOPRIO_CLASS_SHIFT));
    }

    /// <summary>From here on neither this process nor what it starts gains a privilege by execve(2).</summary>
    public static int ForbidNewPrivileges() => Result(LibC.ProcessControl(Constants.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));

    /// <summary>Sets the soft and the hard limit of a resource of this process (setrlimit(2)).</summary>
    public static int Limit(int resource, ulong limit)
    {
        Rlimit both = new() { Current = limit, Maximum = limit };
        return Result(LibC.SetRlimit(resource, &both));
    }

    /// <summary>Sets when a file was last written.</summary>
    public static int SetModified(int fd, long nanoseconds)
    {
        timespec* times = stackalloc timespec[2];
        for (int i = 0; i < 2; i++)
        {
            times[i].tv_sec = (time_t)(nanoseconds / 1_000_000_000);
            times[i].tv_nsec = (long_t)(nanoseconds % 1_000_000_000);
        }
        return Result(TmdsLibC.futimens(fd, times));
    }

    /// <summary>Nanoseconds of a clock of <c>time.h</c>; clocks named in <see cref="Constants"/> exist on every supported kernel.</summary>
    public static long Now(int clock)
    {
        Timespec t;
        int result = LibC.ClockGetTime(clock, &t);
        return result == 0 ? t.Seconds * 1_000_000_000 + t.Nanoseconds : throw new LinuxException("clock_gettime", Last(), $"clock {clock}");
    }

    private static int OnPath(string path, delegate*<byte*, nuint, int> call, nuint argument)
    {
        Span<byte> bytes = stackalloc byte[Encoding.UTF8.GetMaxByteCount(path.Length) + 1];
        bytes[Encoding.UTF8.GetBytes(path, bytes)] = 0;
        fixed (byte* p = bytes)
        {
            return Result(call(p, argument));
        }
    }

    private static int MakeDirectory(byte* path, nuint mode) => TmdsLibC.mkdir(path, (mode_t)(uint)mode);

    private static int RenameTo(byte* path, nuint from) => LibC.Rename((byte*)from, path);

    private static int Status(byte* path, nuint status) => TmdsLibC.stat(path, (stat*)status);

    private static int CreateMemoryFile(byte* name, nuint flags) => TmdsLibC.memfd_create(name, (uint)flags);

    private static int RemoveDirectory(byte* path, nuint unused) => TmdsLibC.rmdir(path);

    private static bool Interrupted(nint result) => result < 0 && Last() == Errno.EINTR;

    private static int Last() => Marshal.GetLastPInvokeError();

    private static int Result(nint value) => value >= 0 ? (int)value : -Last();
}
