using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// One vCPU's ring → its bulk connection, on a thread pinned to that vCPU. Without a session the thread sleeps and the ring overwrites;
/// the kernel counts what is lost. Nothing is allocated while records move.
/// A vCPU that is quiet is left in peace: its thread sleeps until sub-buffers fill, and the main thread sends the little that comes meanwhile. A wake-up on
/// the vCPU itself would be recorded, and so would the kernel's worker that sends what was recorded: it would never be quiet again.
/// </summary>
internal sealed class CpuStream : SessionStream
{
    // Between two looks at the session and the clock, so that a ring that is never empty cannot hide them.
    private const int MostFillsAtOnce = 64;

    // A ring that holds more has its thread awake already, or very soon.
    private const int MostFillsWhileAsleep = 8;

    // A wake-up of the agent is itself recorded: the switch to its thread and the one before, away from it. A quiet vCPU that has recorded no more
    // than that since the last look has nothing new to tell, and its ring is only emptied now and then.
    private const int SwitchesPerWake = 2;
    private const string SwitchEvent = "sched/sched_switch";
    private const int LongestFlushMilliseconds = 10_000;

    private readonly TraceInstance _instance;
    private readonly ReadStrategy _strategy;
    private readonly int _flushMilliseconds;
    private readonly ulong _ownEventsPerWake;
    private readonly Lock _shared = new();
    private CpuStatsFile? _stats;
    private RecordStage? _stage;
    private Fd? _trace;
    private CpuStats? _counters;
    private bool _isFinal;
    private volatile bool _isRetired;
    private bool _isExhausted;
    private ulong _unreadAtLook;
    private long _flushedAt;
    private SessionLink? _asleepIn;
    private int _asleepSocket;

    public CpuStream(int cpu, TraceInstance instance, ReadStrategy strategy, TimeSpan flush, IHostConnector host, WakeEvent owner)
        : base($"trace-cpu{cpu}", host, owner)
    {
        Cpu = cpu;
        _instance = instance;
        _strategy = strategy;
        _flushMilliseconds = (int)flush.TotalMilliseconds;
        _ownEventsPerWake = instance.Configured.Events.Contains(SwitchEvent) ? SwitchesPerWake : 0UL;
    }

    public int Cpu { get; }

    protected override ConnectionKind Kind => ConnectionKind.Bulk;

    protected override bool IsExhausted => _isExhausted;

    /// <summary>The vCPU is offline.</summary>
    public bool IsRetired => _isRetired;

    /// <summary>The figures last read while nothing was between ring and socket, null before the first. Final: nothing more will come of this ring.</summary>
    public StreamCounters? Counters
    {
        get
        {
            lock (_shared)
            {
                return _counters is CpuStats stats
                    ? new StreamCounters(Cpu, _instance.Generation, stats.ReadEvents, stats.LostEvents, _isFinal)
                    : null;
            }
        }
    }

    /// <summary>From the main thread: sends what the ring of a sleeping stream has. Never waits; what the socket does not take at once is left to the stream's thread.</summary>
    public void SendWhileAsleep()
    {
        lock (_shared)
        {
            if (_asleepIn is null || !HasNews(_stats!.Read()))
            {
                return;
            }
            if (TrySendWhileAsleep())
            {
                _counters = _stats.Read();
                return;
            }
            _asleepIn = null;
        }
        Notify();
    }

    /// <summary>The vCPU went offline: its ring is drained, in this session or the next one, and then the stream ends.</summary>
    public void Retire()
    {
        _isRetired = true;
        Notify();
    }

    /// <summary>The vCPU is back. If the stream has ended already, another one is needed.</summary>
    public void Revive() => _isRetired = false;

    protected override void Prepare()
    {
        string folder = _instance.Files.Path($"per_cpu/cpu{Cpu}");
        _stats = new CpuStatsFile($"{folder}/stats");
        _trace = Fd.Own(Sys.Open($"{folder}/trace_pipe_raw", O_RDONLY | O_NONBLOCK), "open", $"{folder}/trace_pipe_raw");
        _stage = ReadStrategyProbe.CreateStage(_strategy, _trace.Value, _instance.SubBufferBytes);
    }

    protected override void Release()
    {
        _stage!.Dispose();
        _trace!.Dispose();
        _stats!.Dispose();
    }

    protected override Hello BuildHello(SessionLink link)
    {
        CpuStats stats = Publish(final: false);
        return new Hello
        {
            OldestVersion = Wire.OldestVersion,
            NewestVersion = Wire.NewestVersion,
            Kind = ConnectionKind.Bulk,
            BootId = link.BootId,
            Token = link.Token,
            Bulk = new BulkHello
            {
                Cpu = Cpu,
                SubBufferBytes = _instance.SubBufferBytes,
                Generation = _instance.Generation,
                ReadEvents = stats.ReadEvents,
                LostEvents = stats.LostEvents,
            },
        };
    }

    protected override bool Run(Fd socket, in Welcome welcome, SessionLink link)
    {
        // The kernel ends the pinning when the vCPU goes offline; where it is offline its ring is read from any other.
        _ = Sys.PinThread(Cpu);
        try
        {
            return Pump(socket, link);
        }
        finally
        {
            WakeUp();
            _stage!.Discard();
            if (!_isFinal)
            {
                // What was thrown away is among the events read, so that the host counts it as lost on the way.
                Publish(final: false);
            }
        }
    }

    // The stage is empty at the top of each round.
    private bool Pump(Fd socket, SessionLink link)
    {
        int publishEvery = (int)link.Timings.Counters.TotalMilliseconds / 2;
        int quiet = Math.Min(_flushMilliseconds, publishEvery);
        long publishAt = 0;
        while (!link.IsClosed)
        {
            if (IsAtEnd(link))
            {
                if (!Drain(socket.Value, link))
                {
                    return link.IsClosed;
                }
                if (IsAtEnd(link))
                {
                    Publish(final: true);
                    _isExhausted = IsRetired;
                    FinishConnection(socket, link);
                    return true;
                }
                // The vCPU came back before its ring was empty.
                _ = Sys.PinThread(Cpu);
            }
            if (link.Phase == SessionPhase.Ending)
            {
                Publish(final: false);
                FinishConnection(socket, link);
                return true;
            }
            if (Environment.TickCount64 >= publishAt)
            {
                Publish(final: false);
                publishAt = Environment.TickCount64 + publishEvery;
            }
            if (!WaitForRing(socket.Value, quiet, out bool isQuiet) || !Forward(socket.Value, link, isQuiet))
            {
                return false;
            }
        }
        return true;
    }

    private bool IsAtEnd(SessionLink link) => IsRetired || link.Phase == SessionPhase.Draining;

    /// <returns>False when the connection is broken.</returns>
    private bool Forward(int socket, SessionLink link, bool isQuiet)
    {
        RecordStage stage = _stage!;
        // What the main thread has taken out of the ring and could not send.
        if (!SendStage(socket, link))
        {
            return false;
        }
        int filled = 0;
        for (int fills = 0; fills < MostFillsAtOnce && (filled = Check(stage.Fill())) > 0; fills++)
        {
            if (!SendStage(socket, link))
            {
                return false;
            }
            if (!stage.MayHaveMore)
            {
                break;
            }
        }
        if (isQuiet && filled == 0 && Check(stage.FillTail()) > 0 && !SendStage(socket, link))
        {
            return false;
        }
        if (isQuiet)
        {
            FallAsleep(socket, link);
        }
        return true;
    }

    private void FallAsleep(int socket, SessionLink link)
    {
        lock (_shared)
        {
            _counters = _stats!.Read();
            _unreadAtLook = 0;
            _flushedAt = Environment.TickCount64;
            _asleepSocket = socket;
            _asleepIn = link;
        }
    }

    /// <summary>From here on ring, stage and socket are this thread's alone.</summary>
    private void WakeUp()
    {
        lock (_shared)
        {
            _asleepIn = null;
        }
    }

    private bool HasNews(in CpuStats stats)
    {
        ulong unread = stats.Entries;
        long now = Environment.TickCount64;
        bool hasNews = unread > _unreadAtLook + _ownEventsPerWake || (unread > 0 && now - _flushedAt >= LongestFlushMilliseconds);
        _unreadAtLook = hasNews ? 0 : unread;
        _flushedAt = hasNews ? now : _flushedAt;
        return hasNews;
    }

    /// <returns>False when the stream's thread has to go on.</returns>
    private bool TrySendWhileAsleep()
    {
        RecordStage stage = _stage!;
        for (int fills = 0; fills < MostFillsWhileAsleep; fills++)
        {
            int filled = stage.Fill();
            bool isLast = filled == 0 || !stage.MayHaveMore;
            if (filled == 0)
            {
                filled = stage.FillTail();
            }
            if (filled < 0)
            {
                return false;
            }
            while (!stage.IsEmpty)
            {
                if (stage.Send(_asleepSocket, _asleepIn!.SendLimit) <= 0)
                {
                    return false;
                }
            }
            if (isLast)
            {
                return true;
            }
        }
        return false;
    }

    /// <param name="quiet">Milliseconds without a full sub-buffer after which a vCPU counts as quiet.</param>
    /// <param name="isQuiet">It is.</param>
    /// <returns>False when the connection is broken.</returns>
    private bool WaitForRing(int socket, int quiet, out bool isQuiet)
    {
        Span<PollFd> fds =
        [
            new PollFd { Fd = _trace!.Value, Events = POLLIN },
            new PollFd { Fd = socket, Events = POLLIN },
            new PollFd { Fd = Wake.FdValue, Events = POLLIN },
        ];
        // Only this thread falls asleep, and whoever ends its sleep sets the wake event: no need to ask under the lock.
        int ready = LinuxException.Check(Sys.Poll(fds, _asleepIn is null ? quiet : -1), "poll", Name);
        WakeUp();
        isQuiet = ready == 0;
        if (fds[2].Revents != 0)
        {
            Wake.Clear();
        }
        return fds[1].Revents == 0 || SocketWait.IsOpen(socket);
    }

    /// <returns>False when the connection broke, or the session was closed with the stage half sent.</returns>
    private bool SendStage(int socket, SessionLink link)
    {
        RecordStage stage = _stage!;
        while (!stage.IsEmpty)
        {
            int n = stage.Send(socket, link.SendLimit);
            if (n == -Errno.EAGAIN)
            {
                // The host takes nothing: the ring overwrites meanwhile, which the kernel counts.
                SocketWait.For(socket, POLLOUT, Wake, -1);
                if (link.IsClosed)
                {
                    return false;
                }
            }
            else if (n <= 0)
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Empties the ring, unless its vCPU comes back: a ring that is written to has no end.</summary>
    /// <returns>False when the connection is broken.</returns>
    private bool Drain(int socket, SessionLink link)
    {
        RecordStage stage = _stage!;
        while (IsAtEnd(link) && (Check(stage.Fill()) > 0 || Check(stage.FillTail()) > 0))
        {
            if (!SendStage(socket, link))
            {
                return false;
            }
        }
        return true;
    }

    private int Check(int taken)
    {
        if (taken == -Errno.ENOMEM)
        {
            // Neither splice nor read() got a page. The ring keeps recording; a busy retry would only add to the pressure.
            SocketWait.Sleep(Wake, 100);
            return 0;
        }
        return LinuxException.Check(taken, "read", $"{Name} trace_pipe_raw");
    }

    private CpuStats Publish(bool final)
    {
        CpuStats stats = _stats!.Read();
        lock (_shared)
        {
            _counters = stats;
            _isFinal = final;
        }
        return stats;
    }
}
