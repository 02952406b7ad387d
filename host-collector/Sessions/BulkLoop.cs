using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Storage;
using static VsockPair.Linux.Constants;

namespace VsockPair.Sessions;

/// <summary>
/// One thread that moves bulk streams from their sockets to their segments: epoll, one recv into a buffer shared by all streams of the thread, one write per run of
/// sub-buffers. Nothing is allocated per record and no expected outcome throws. A fault ends the process: a loop that died silently would look like quiet guests.
/// </summary>
internal sealed unsafe class BulkLoop : IDisposable
{
    public const int MaxStreams = 256;

    private const int ReadBytes = 1 << 20;

    /// <summary>Room for one read behind the longest carry: all but the last byte of the longest record. What the disk did not take is carried without another read.</summary>
    private const int BufferBytes = ReadBytes + BulkRecord.TailPrefixBytes + Wire.MaxSubBufferBytes;
    private const int LowWaterBytes = 256 << 10;
    private const int SweepMilliseconds = 250;
    private const int PausedMilliseconds = 20;

    /// <summary>Reads of one stream before others have their turn.</summary>
    private const int ReadsPerTurn = 4;

    /// <summary>How long <see cref="Dispose"/> waits for a turn under way; longer only when the disk hangs.</summary>
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(3);

    private const int WakeTag = -1;

    private readonly Lock _gate = new();
    private readonly Queue<Action> _requests = new();
    private readonly Dictionary<int, BulkConnection> _connections = [];
    private readonly WakeEvent _wake = new();
    private readonly Fd _epoll = Fd.Own(Sys.EpollCreate(), "epoll_create1", "bulk streams");
    private readonly TokenBucket _hostBudget;
    private readonly DiskState _disk;
    private readonly FaultSignal _faults;
    private readonly ILogger _log;
    private readonly Thread _thread;
    private int _load;
    private int _paused;
    private volatile bool _stopping;
    private bool _disposed;
    private bool _dead;
    private void* _buffer;

    public BulkLoop(int number, TokenBucket hostBudget, DiskState disk, FaultSignal faults, ILogger log)
    {
        _hostBudget = hostBudget;
        _disk = disk;
        _faults = faults;
        _log = log;
        LinuxException.Check(Sys.EpollControl(_epoll.Value, EPOLL_CTL_ADD, _wake.FdValue, EPOLLIN, WakeTag), "epoll_ctl", "wake event");
        _thread = new Thread(RunGuarded) { Name = $"bulk{number}", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Streams that it has, or will have in a moment.</summary>
    public int Load => Volatile.Read(ref _load);

    public void Add(BulkConnection connection)
    {
        Interlocked.Increment(ref _load);
        Request(() => Begin(connection));
    }

    public void Drain(BulkConnection connection) => Request(() =>
    {
        // It may not have been added yet: then Begin finds the deadline.
        connection.DrainDeadline ??= Environment.TickCount64 + (long)Wire.DrainTimeout.TotalMilliseconds;
        if (Has(connection))
        {
            Resume(connection);
            Serve(connection, (byte*)_buffer);
        }
    });

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }
        _disposed = true;
        _stopping = true;
        _wake.Set();
        if (_thread.Join(EndPatience))
        {
            _epoll.Dispose();
            _wake.Dispose();
        }
    }

    private void RunGuarded()
    {
        _buffer = NativeMemory.AlignedAlloc(BufferBytes, 4096);
        try
        {
            Run();
        }
        catch (Exception e)
        {
            _faults.Report(_thread.Name!, e);
        }
        finally
        {
            Abandon();
            NativeMemory.AlignedFree(_buffer);
        }
    }

    /// <summary>Nobody serves these connections any more, and nobody may wait for their ends.</summary>
    private void Abandon()
    {
        Queue<Action> left;
        lock (_gate)
        {
            _dead = true;
            left = new(_requests);
            _requests.Clear();
        }
        foreach (BulkConnection connection in _connections.Values.ToList())
        {
            End(connection);
        }
        foreach (Action request in left)
        {
            request();
        }
    }

    private bool Has(BulkConnection connection) => !connection.Ended.IsCompleted && _connections.GetValueOrDefault(connection.FdValue) == connection;

    private void Run()
    {
        Span<uint> events = stackalloc uint[MaxStreams];
        Span<int> tags = stackalloc int[MaxStreams];
        byte* buffer = (byte*)_buffer;
        long nextSweep = Environment.TickCount64 + SweepMilliseconds;
        List<BulkConnection> all = [];
        while (!_stopping)
        {
            bool paused = _paused > 0;
            int timeout = _connections.Count == 0 ? -1 : paused ? PausedMilliseconds : (int)Math.Max(0, nextSweep - Environment.TickCount64);
            int ready = LinuxException.Check(Sys.EpollWait(_epoll.Value, events, tags, timeout), "epoll_wait", "bulk streams");
            for (int i = 0; i < ready; i++)
            {
                if (tags[i] == WakeTag)
                {
                    _wake.Clear();
                }
                else if (_connections.TryGetValue(tags[i], out BulkConnection? connection))
                {
                    Serve(connection, buffer);
                }
            }
            while (TakeRequest() is Action request)
            {
                request();
            }
            bool sweep = Environment.TickCount64 >= nextSweep;
            if (sweep || paused)
            {
                all.Clear();
                all.AddRange(_connections.Values);
                foreach (BulkConnection connection in all)
                {
                    Sweep(connection, buffer, sweep);
                }
            }
            if (sweep)
            {
                nextSweep = Environment.TickCount64 + SweepMilliseconds;
            }
        }
    }

    private void Request(Action request)
    {
        lock (_gate)
        {
            if (!_dead)
            {
                _requests.Enqueue(request);
                _wake.Set();
                return;
            }
        }
        request();
    }

    private Action? TakeRequest()
    {
        lock (_gate)
        {
            return _requests.TryDequeue(out Action? request) ? request : null;
        }
    }

    private void Begin(BulkConnection connection)
    {
        if (_dead)
        {
            Close(connection);
            return;
        }
        // Below this many bytes epoll stays silent and the sweep reads: fewer wakes and fewer credit packets. AF_UNIX takes the option and ignores it in poll.
        Sys.SetOption(connection.FdValue, SOL_SOCKET, SO_RCVLOWAT, LowWaterBytes);
        _connections.Add(connection.FdValue, connection);
        LinuxException.Check(Sys.EpollControl(_epoll.Value, EPOLL_CTL_ADD, connection.FdValue, EPOLLIN, connection.FdValue), "epoll_ctl", "bulk stream");
        if (connection.DrainDeadline is not null)
        {
            Serve(connection, (byte*)_buffer);
        }
    }

    /// <summary>Reads what is below the low-water mark, wakes what was paused, gives up what was to be drained.</summary>
    private void Sweep(BulkConnection connection, byte* buffer, bool read)
    {
        if (connection.Paused && MayRead(connection))
        {
            Resume(connection);
            Serve(connection, buffer);
        }
        else if (read && !connection.Paused)
        {
            Serve(connection, buffer);
        }
        if (Has(connection) && connection.DrainDeadline <= Environment.TickCount64)
        {
            End(connection);
        }
    }

    private bool MayRead(BulkConnection connection) =>
        !_disk.IsFull && connection.Stream.MayStore && (connection.DrainDeadline is not null || (connection.Session.Guest.Budget.HasRoom && _hostBudget.HasRoom));

    private void Serve(BulkConnection connection, byte* buffer)
    {
        for (int turn = 0; turn < ReadsPerTurn; turn++)
        {
            if (connection.Paused)
            {
                return;
            }
            if (!MayRead(connection))
            {
                Pause(connection);
                return;
            }
            int carried = connection.TakeCarried(new Span<byte>(buffer, BufferBytes));
            int received = 0;
            if (!connection.HasUnstored)
            {
                bool drains = connection.DrainDeadline is not null;
                received = Sys.Recv(connection.FdValue, buffer + carried, drains ? Math.Min(ReadBytes, connection.DrainLeft) : ReadBytes, MSG_DONTWAIT);
                if (received <= 0)
                {
                    // EAGAIN: nothing there. 0: end of stream. ECONNRESET, ENOTCONN, EPIPE, ETIMEDOUT: the peer is gone.
                    if (received != -Errno.EAGAIN)
                    {
                        End(connection);
                    }
                    else if (!connection.TryCarry(new ReadOnlySpan<byte>(buffer, carried)))
                    {
                        EndFor(connection, Violation.TooMuchCarried);
                    }
                    return;
                }
                connection.DrainLeft -= drains ? received : 0;
            }
            AppendState state = connection.Stream.Append(buffer, carried + received, connection.SubBufferBytes, out int consumed, out int charge);
            Charge(connection, received + charge);
            connection.HasUnstored = state is AppendState.DiskFull or AppendState.Behind;
            ReportAnomalies(connection);
            if (state == AppendState.Malformed)
            {
                EndFor(connection, Violation.BadBulkRecord);
                return;
            }
            if (!connection.TryCarry(new ReadOnlySpan<byte>(buffer + consumed, carried + received - consumed)))
            {
                EndFor(connection, Violation.TooMuchCarried);
                return;
            }
            if (state == AppendState.DiskFull)
            {
                _disk.ReportFull();
                Pause(connection);
                return;
            }
            if (connection.DrainLeft == 0)
            {
                End(connection);
                return;
            }
            if (received is > 0 and < LowWaterBytes)
            {
                return;
            }
        }
    }

    private void Charge(BulkConnection connection, int bytes)
    {
        connection.Session.Guest.Budget.Take(bytes);
        if (connection.DrainDeadline is null)
        {
            // A drain is not the host's: other guests would wait for what this one may read beyond its budget.
            _hostBudget.Take(bytes);
        }
    }

    private static void ReportAnomalies(BulkConnection connection)
    {
        if (connection.Stream.Anomalies != connection.AnomaliesSeen)
        {
            connection.AnomaliesSeen = connection.Stream.Anomalies;
            connection.Session.Guest.Report(Violation.UnwalkableEvents, connection.Stream.Name);
        }
    }

    /// <summary>Out of epoll altogether: with no interest it would still report every hang-up, again and again.</summary>
    private void Pause(BulkConnection connection)
    {
        if (!connection.Paused)
        {
            connection.Paused = true;
            _paused++;
            LinuxException.Check(Sys.EpollControl(_epoll.Value, EPOLL_CTL_DEL, connection.FdValue, 0, 0), "epoll_ctl", "bulk stream");
            _log.StreamPaused(connection.Session.Guest.Name, connection.Stream.Name);
        }
    }

    private void Resume(BulkConnection connection)
    {
        if (connection.Paused)
        {
            connection.Paused = false;
            _paused--;
            LinuxException.Check(Sys.EpollControl(_epoll.Value, EPOLL_CTL_ADD, connection.FdValue, EPOLLIN, connection.FdValue), "epoll_ctl", "bulk stream");
            _log.StreamResumed(connection.Session.Guest.Name, connection.Stream.Name);
        }
    }

    private void EndFor(BulkConnection connection, Violation violation)
    {
        connection.Session.Guest.Report(violation, connection.Stream.Name);
        End(connection);
    }

    private void End(BulkConnection connection)
    {
        if (connection.Paused)
        {
            _paused--;
        }
        else
        {
            Sys.EpollControl(_epoll.Value, EPOLL_CTL_DEL, connection.FdValue, 0, 0);
        }
        _connections.Remove(connection.FdValue);
        Close(connection);
    }

    private void Close(BulkConnection connection)
    {
        Interlocked.Decrement(ref _load);
        connection.Connection.Dispose();
        connection.ReturnCarry();
        try
        {
            connection.Session.BulkEnded(connection);
        }
        finally
        {
            connection.MarkEnded();
        }
    }
}
