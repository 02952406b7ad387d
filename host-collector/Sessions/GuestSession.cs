using Microsoft.Extensions.Logging;
using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>
/// One session: its control connection, and what else belongs to it. <see cref="RunAsync"/> is the control loop; <see cref="Tick"/> comes once a second;
/// whatever ends the session first decides its reason.
/// </summary>
internal sealed class GuestSession
{
    private readonly Lock _gate = new();
    private readonly SessionRegistry _registry;
    private readonly FrameConnection _control;
    private readonly FileReceiver _files;
    private readonly ClockSampler _clocks;
    private readonly TraceConversation _trace;
    private readonly SessionTimes _times;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly HashSet<int> _final = [];
    private readonly List<BulkConnection> _bulk = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private KmsgConnection? _kmsg;
    private long _heard;
    private long _nextHeartbeat;
    private ulong _heartbeats;
    private bool _ending;

    public GuestSession(Guest guest, BootStore boot, Guid id, in ControlHello claims, FrameConnection control, CollectorStore store, DiskState disk, SessionRegistry registry, SessionTimes times, ILogger log)
    {
        Guest = guest;
        Boot = boot;
        Id = id;
        Vcpus = Math.Clamp(claims.PossibleCpus, 1, registry.MaxCpus);
        AnswersTraceRequests = claims.Capabilities is AgentCapabilities can && can.HasFlag(AgentCapabilities.TraceControl);
        _control = control;
        _registry = registry;
        _times = times;
        _trace = new TraceConversation(times.TraceAnswer);
        _time = store.Time;
        _log = log;
        _files = new FileReceiver(this, store, disk, log);
        ConnectedSince = store.Now;
        _heard = Environment.TickCount64;
        _nextHeartbeat = _heard + (long)times.Heartbeat.TotalMilliseconds;
        _clocks = new ClockSampler(times.ClockBurst, _heard);
    }

    public Guest Guest { get; }

    public BootStore Boot { get; }

    public Guid Id { get; }

    public Guid Token { get; } = Guid.NewGuid();

    /// <summary>As the guest claims, and at most as many as are accepted.</summary>
    public int Vcpus { get; }

    public bool AnswersTraceRequests { get; }

    public DateTimeOffset ConnectedSince { get; }

    /// <summary>What a session needs of connections that have no cpu's slot: one kmsg that is served and one that waits for its end, and one probe.</summary>
    public SemaphoreSlim KmsgPlaces { get; } = new(2);

    public SemaphoreSlim ProbePlaces { get; } = new(1);

    public bool HasKmsg => Volatile.Read(ref _kmsg) is not null;

    public Task Ended => _ended.Task;

    /// <summary>Receives until the control connection ends. Whoever called then calls <see cref="EndAsync"/> with the reason.</summary>
    public async Task<string> RunAsync()
    {
        try
        {
            return await ReceiveAsync().ConfigureAwait(false);
        }
        finally
        {
            // Here and not in EndAsync: a newer session ends this one while its loop may be adding to a file.
            _files.Abandon();
        }
    }

    private async Task<string> ReceiveAsync()
    {
        while (true)
        {
            FrameState state = _control.TryTake(Guest.ControlBudget, out ReadOnlySpan<byte> body);
            if (state == FrameState.Incomplete)
            {
                await Guest.ControlBudget.WaitAsync(_control.Closed).ConfigureAwait(false);
                if (!await _control.ReceiveAsync().ConfigureAwait(false))
                {
                    return EndReasons.Closed;
                }
                Volatile.Write(ref _heard, Environment.TickCount64);
                continue;
            }
            bool goodbye = false;
            Violation? violation = state == FrameState.BadLength ? Violation.BadFrameLength : Take(body, out goodbye);
            if (violation is Violation kind)
            {
                Guest.Report(kind, "control");
                return EndReasons.Closed;
            }
            if (goodbye)
            {
                return EndReasons.Goodbye;
            }
        }
    }

    /// <summary>Heartbeats, clocks, and the time limits.</summary>
    public void Tick()
    {
        long now = Environment.TickCount64;
        if (now - Volatile.Read(ref _heard) >= _times.DeadAfter.TotalMilliseconds)
        {
            _log.SessionSilent(Guest.Name, Boot.Name, (int)_times.DeadAfter.TotalSeconds);
            _ = EndAsync(EndReasons.Lost);
            return;
        }
        if (_control.IsStalled(_times.Handshake))
        {
            Guest.Report(Violation.StalledFrame, "control");
            _ = EndAsync(EndReasons.Closed);
            return;
        }
        if (Volatile.Read(ref _kmsg) is KmsgConnection kmsg && kmsg.IsStalled(_times.Handshake))
        {
            Guest.Report(Violation.StalledFrame, "kmsg");
            kmsg.Dispose();
        }
        if (now >= _nextHeartbeat)
        {
            _nextHeartbeat = now + (long)_times.Heartbeat.TotalMilliseconds;
            Send(new Heartbeat(_heartbeats++));
        }
        lock (_clocks)
        {
            if (_clocks.Due(now) is Ping ping)
            {
                Send(ping);
            }
        }
    }

    /// <summary>On control, from any thread.</summary>
    public void Send<T>(in T message) where T : struct, IMessage<T>
    {
        if (!_control.TrySend(message))
        {
            Guest.Report(Violation.NeverReads, "control");
            _control.Dispose();
        }
    }

    /// <inheritdoc cref="TraceConversation.AskAsync"/>
    public Task<TraceAnswer> AskTraceAsync(TraceRequest request) => _trace.AskAsync(request, r => Send(r), _control.Closed);

    /// <summary>The agent has shown that it knows this session: an older one no longer continues the boot's life.</summary>
    public void Confirm()
    {
        if (Boot.Record.PreviousSession is not null && Boot.Record.Session == Id)
        {
            Boot.Change(r => r with { PreviousSession = null });
        }
    }

    /// <returns>False when the session is over: the connection is not its any more.</returns>
    public bool TryAdopt(BulkConnection connection)
    {
        lock (_gate)
        {
            // Held until BulkEnded.
            if (_ending || !Boot.Holds.TryTake())
            {
                return false;
            }
            _final.Remove(connection.Stream.Vcpu);
            _bulk.Add(connection);
            return true;
        }
    }

    /// <summary>A newer kmsg connection replaces the one before, once what that one had received is stored.</summary>
    /// <param name="make">Called only then: one that waits costs no more than its descriptor.</param>
    /// <returns>Null when the session is over.</returns>
    public async Task<KmsgConnection?> AdoptKmsgAsync(Func<KmsgConnection> make)
    {
        while (true)
        {
            KmsgConnection older;
            lock (_gate)
            {
                if (_ending)
                {
                    return null;
                }
                if (_kmsg is null)
                {
                    return _kmsg = make();
                }
                older = _kmsg;
            }
            await older.DrainAsync().ConfigureAwait(false);
        }
    }

    public void KmsgEnded(KmsgConnection connection)
    {
        lock (_gate)
        {
            if (_kmsg == connection)
            {
                _kmsg = null;
            }
        }
    }

    /// <summary>From the loop thread: everything of this connection is stored.</summary>
    public void BulkEnded(BulkConnection connection)
    {
        bool settle;
        lock (_gate)
        {
            _bulk.Remove(connection);
            settle = _ending || _final.Contains(connection.Stream.Vcpu);
        }
        try
        {
            if (settle)
            {
                connection.Stream.SettleEnded();
            }
        }
        finally
        {
            Boot.Holds.Return();
        }
    }

    /// <summary>Waits until no bulk connection is left, as after a Stop.</summary>
    public async Task StreamsEndedAsync()
    {
        while (true)
        {
            Task[] open;
            lock (_gate)
            {
                open = [.. _bulk.Select(b => b.Ended)];
            }
            if (open.Length == 0)
            {
                return;
            }
            await Task.WhenAll(open).ConfigureAwait(false);
        }
    }

    /// <summary>Closes every connection once what the guest had sent is stored, and does the accounts. Only the first call does it; all wait for it.</summary>
    public async Task EndAsync(string reason)
    {
        BulkConnection[]? bulk = null;
        lock (_gate)
        {
            if (!_ending)
            {
                _ending = true;
                bulk = [.. _bulk];
            }
        }
        if (bulk is null)
        {
            await Ended.ConfigureAwait(false);
            return;
        }
        try
        {
            _registry.Remove(this);
            _control.Dispose();
            await Task.WhenAll(bulk.Select(b => (Task)b.DrainAsync()).Append(Volatile.Read(ref _kmsg)?.DrainAsync() ?? Task.CompletedTask)).ConfigureAwait(false);
            foreach (VcpuStream stream in Boot.Streams.Where(s => s.Slot.Current?.Ended.IsCompleted != false))
            {
                stream.SettleEnded();
            }
            Boot.EndSession(Id, reason);
            if (Guest.MayLog())
            {
                _log.SessionEnded(Guest.Name, Boot.Name, reason);
            }
        }
        finally
        {
            Guest.Remove(this);
            _ended.TrySetResult();
        }
    }

    private Violation? Take(ReadOnlySpan<byte> body, out bool goodbye)
    {
        goodbye = false;
        if (!Frame.TryReadType(body, out MessageType type))
        {
            return Violation.BadFrame;
        }
        Confirm();
        _files.AnswerWaiting();
        switch (type)
        {
            case MessageType.Heartbeat:
                return Frame.TryDecode(body, out Heartbeat _) ? null : Violation.BadFrame;
            case MessageType.Pong:
                return Frame.TryDecode(body, out Pong pong) ? Take(pong) : Violation.BadFrame;
            case MessageType.StreamCounters:
                return Frame.TryDecode(body, out StreamCounters counters) ? Take(counters) : Violation.BadFrame;
            case MessageType.EventsLeft:
                return Frame.TryDecode(body, out EventsLeft left) ? Take(left) : Violation.BadFrame;
            case MessageType.Readiness:
                return Frame.TryDecode(body, out Readiness readiness) ? Take(readiness) : Violation.BadFrame;
            case MessageType.FileOffer:
                return Frame.TryDecode(body, out FileOffer offer) ? _files.Take(offer) : Violation.BadFileOffer;
            case MessageType.FileChunk:
                return FileChunk.TryDecode(body, out FileChunk chunk) ? _files.Take(chunk) : Violation.BadFrame;
            case MessageType.FileGone:
                return Frame.TryDecode(body, out FileGone gone) ? _files.Take(gone) : Violation.BadFrame;
            case MessageType.TraceAnswer:
                return Frame.TryDecode(body, out TraceAnswer answer) ? _trace.Take(answer) : Violation.BadFrame;
            case MessageType.Goodbye:
                goodbye = Frame.TryDecode(body, out Goodbye _);
                return goodbye ? null : Violation.BadFrame;
            default:
                // A type that nobody knows is of a newer version, and skipped.
                return Enum.IsDefined(type) ? Violation.UnexpectedMessage : null;
        }
    }

    private Violation? Take(in Pong pong)
    {
        lock (_clocks)
        {
            if (!_clocks.Take(pong, _time.GetUtcNow(), Environment.TickCount64, out Ping? next, out ClockSample? sample))
            {
                return Violation.UnaskedPong;
            }
            Boot.SawClock(pong.Boot);
            if (next is Ping ping)
            {
                Send(ping);
            }
            if (sample is not null)
            {
                Boot.AppendClock(sample);
            }
            return null;
        }
    }

    private Violation? Take(in Readiness readiness)
    {
        Boot.Hear(readiness);
        return null;
    }

    private Violation? Take(in EventsLeft left)
    {
        if (left.Cpu >= Vcpus)
        {
            return Violation.CpuOutOfRange;
        }
        Boot.StreamIfKnown(left.Cpu)?.Hear(left);
        return null;
    }

    private Violation? Take(in StreamCounters counters)
    {
        if (counters.Cpu >= Vcpus)
        {
            return Violation.CpuOutOfRange;
        }
        VcpuStream? stream = Boot.StreamIfKnown(counters.Cpu);
        if (stream is null)
        {
            return null;
        }
        stream.Hear(counters);
        if (counters.Final && stream.Ring?.Generation == counters.Generation)
        {
            bool live;
            lock (_gate)
            {
                _final.Add(counters.Cpu);
                live = _bulk.Any(b => b.Stream == stream);
            }
            if (!live)
            {
                stream.SettleEnded();
            }
        }
        return null;
    }
}
