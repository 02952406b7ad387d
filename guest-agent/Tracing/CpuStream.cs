using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// One vCPU's ring → its bulk connection, on a thread pinned to that vCPU. Without a session the thread sleeps and the ring overwrites;
/// the kernel counts what is lost. Nothing is allocated while records move.
/// </summary>
internal sealed class CpuStream : SessionStream
{
    // Between two looks at the session and the clock, so that a ring that is never empty cannot hide them.
    private const int MostFillsAtOnce = 64;

    private readonly TraceInstance _instance;
    private readonly ReadStrategy _strategy;
    private readonly int _flushMilliseconds;
    private readonly Lock _published = new();
    private CpuStatsFile? _stats;
    private RecordStage? _stage;
    private Fd? _trace;
    private CpuStats? _counters;
    private bool _isFinal;

    public CpuStream(int cpu, TraceInstance instance, ReadStrategy strategy, TimeSpan flush, IHostConnector host, WakeEvent owner)
        : base($"trace-cpu{cpu}", host, owner)
    {
        Cpu = cpu;
        _instance = instance;
        _strategy = strategy;
        _flushMilliseconds = (int)flush.TotalMilliseconds;
    }

    public int Cpu { get; }

    protected override ConnectionKind Kind => ConnectionKind.Bulk;

    /// <summary>The figures last read while nothing was between ring and socket, null before the first. Final: nothing more will come of this ring.</summary>
    public StreamCounters? Counters
    {
        get
        {
            lock (_published)
            {
                return _counters is CpuStats stats
                    ? new StreamCounters(Cpu, _instance.Generation, stats.ReadEvents, stats.LostEvents, _isFinal)
                    : null;
            }
        }
    }

    protected override void Prepare()
    {
        // A vCPU that went offline again meanwhile cannot be pinned to; its ring is read all the same.
        _ = Sys.PinThread(Cpu);
        string folder = _instance.Files.Path($"per_cpu/cpu{Cpu}");
        _stats = new CpuStatsFile($"{folder}/stats");
        _trace = Fd.Own(Sys.Open($"{folder}/trace_pipe_raw", O_RDONLY | O_NONBLOCK), "open", $"{folder}/trace_pipe_raw");
        _stage = ReadStrategyProbe.CreateStage(_strategy, _trace.Value, _instance.SubBufferBytes);
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
        try
        {
            return Pump(socket, link);
        }
        finally
        {
            _stage!.Discard();
        }
    }

    // The stage is empty at the top of each round.
    private bool Pump(Fd socket, SessionLink link)
    {
        RecordStage stage = _stage!;
        long publishEvery = (long)link.Timings.Counters.TotalMilliseconds / 2;
        long publishAt = 0;
        while (!link.IsClosed)
        {
            if (link.Phase == SessionPhase.Draining || IsRetired)
            {
                return DrainRing(socket, link);
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
            if (!WaitForRing(socket.Value, out bool isQuiet))
            {
                return false;
            }
            int filled = 0;
            for (int fills = 0; fills < MostFillsAtOnce && (filled = Check(stage.Fill())) > 0; fills++)
            {
                if (!SendStage(socket.Value, link))
                {
                    return false;
                }
                if (!stage.MayHaveMore)
                {
                    break;
                }
            }
            if (isQuiet && filled == 0 && Check(stage.FillTail()) > 0 && !SendStage(socket.Value, link))
            {
                return false;
            }
        }
        return true;
    }

    /// <returns>False when the connection is broken.</returns>
    private bool WaitForRing(int socket, out bool isQuiet)
    {
        Span<PollFd> fds =
        [
            new PollFd { Fd = _trace!.Value, Events = POLLIN },
            new PollFd { Fd = socket, Events = POLLIN },
            new PollFd { Fd = Wake.FdValue, Events = POLLIN },
        ];
        int ready = LinuxException.Check(Sys.Poll(fds, _flushMilliseconds), "poll", Name);
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

    private bool DrainRing(Fd socket, SessionLink link)
    {
        RecordStage stage = _stage!;
        while (Check(stage.Fill()) > 0 || Check(stage.FillTail()) > 0)
        {
            if (!SendStage(socket.Value, link))
            {
                return link.IsClosed;
            }
        }
        Publish(final: true);
        FinishConnection(socket, link);
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
        lock (_published)
        {
            _counters = stats;
            _isFinal = final;
        }
        return stats;
    }
}
