using System.Collections.Concurrent;
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
    private const int LowWaterBytes = 256 << 10;
    private const int SweepMilliseconds = 250;
    private const int PausedMilliseconds = 20;

    /// <summary>Reads of one stream before others have their turn.</summary>
    private const int ReadsPerTurn = 4;
    private const int WakeTag = -1;

    private readonly ConcurrentQueue<Action> _requests = new();
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
        if (_connections.GetValueOrDefault(connection.FdValue) == connection && connection.DrainDeadline is null)
        {
            connection.DrainDeadline = Environment.TickCount64 + (long)Wire.DrainTimeout.TotalMilliseconds;
            Resume(connection);
            Serve(connection, (byte*)_buffer);
        }
    });

    public void Dispose()
    {
        _stopping = true;
        _wake.Set();
        _thread.Join();
        _epoll.Dispose();
        _wake.Dispose();
    }

    private void RunGuarded()
    {
        // Room for one read behind the longest carry: a read that the disk did not take, plus a record.
        _buffer = NativeMemory.AlignedAlloc(2 * ReadBytes + Wire.MaxSubBufferBytes + 4096, 4096);
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
            NativeMemory.AlignedFree(_buffer);
        }
    }

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
            while (_requests.TryDequeue(out Action? request))
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
        _requests.Enqueue(request);
        _wake.Set();
    }

    private void Begin(BulkConnection connection)
    {
        // Below this many bytes epoll stays silent and the sweep reads: fewer wakes and fewer credit packets. AF_UNIX takes the option and ignores it in poll.
        Sys.SetOption(connection.FdValue, SOL_SOCKET, SO_RCVLOWAT, LowWaterBytes);
        _connections.Add(connection.FdValue, connection);
        LinuxException.Check(Sys.EpollControl(_epoll.Value, EPOLL_CTL_ADD, connection.FdValue, EPOLLIN, connection.FdValue), "epoll_ctl", "bulk stream");
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
        if (_connections.GetValueOrDefault(connection.FdValue) == connection && connection.DrainDeadline <= Environment.TickCount64)
        {
            End(connection);
        }
    }

    private bool MayRead(BulkConnection connection) =>
        !_disk.IsFull && connection.Stream.MayBeginSegment && (connection.DrainDeadline is not null || (connection.Session.Guest.Budget.HasRoom && _hostBudget.HasRoom));

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
            int carried = connection.TakeCarried(new Span<byte>(buffer, ReadBytes + Wire.MaxSubBufferBytes));
            int received = 0;
            if (!connection.HasUnstored)
            {
                received = Sys.Recv(connection.FdValue, buffer + carried, ReadBytes, MSG_DONTWAIT);
                if (received <= 0)
                {
                    // EAGAIN: nothing there. 0: end of stream. ECONNRESET, ENOTCONN, EPIPE, ETIMEDOUT: the peer is gone.
                    if (received == -Errno.EAGAIN)
                    {
                        connection.Carry(new ReadOnlySpan<byte>(buffer, carried));
                    }
                    else
                    {
                        End(connection);
                    }
                    return;
                }
                connection.Session.Guest.Budget.Take(received);
                _hostBudget.Take(received);
            }
            AppendState state = connection.Stream.Append(buffer, carried + received, connection.SubBufferBytes, out int consumed, out int charge);
            connection.Session.Guest.Budget.Take(charge);
            _hostBudget.Take(charge);
            connection.Carry(new ReadOnlySpan<byte>(buffer + consumed, carried + received - consumed));
            connection.HasUnstored = state is AppendState.DiskFull or AppendState.Behind;
            ReportAnomalies(connection);
            if (state == AppendState.Malformed)
            {
                connection.Session.Guest.Report(Violation.BadBulkRecord, connection.Stream.Name);
                End(connection);
                return;
            }
            if (state == AppendState.DiskFull)
            {
                _disk.ReportFull();
                Pause(connection);
                return;
            }
            if (received is > 0 and < LowWaterBytes)
            {
                return;
            }
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
        Interlocked.Decrement(ref _load);
        connection.Connection.Dispose();
        connection.Session.BulkEnded(connection);
        connection.MarkEnded();
    }
}
