using VsockPair.GuestAgent.Checks;
using VsockPair.GuestAgent.Connections;
using VsockPair.GuestAgent.Files;
using VsockPair.GuestAgent.Metadata;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent;

/// <summary>
/// One session with the collector, on the main thread: the control connection, and the word to all streams when the session begins and ends.
/// PROTOCOL.md §4 tells its course.
/// </summary>
internal sealed class AgentSession : ITraceSession, IDisposable
{
    private const int HurriedSendMilliseconds = 1000;
    private static readonly TimeSpan Hurry = TimeSpan.FromMilliseconds(500);

    private readonly Agent _agent;
    private readonly SessionLink _link;
    private readonly FrameChannel _control;
    private readonly ReadinessReporter _readiness;
    private readonly FileOffers _files;
    private readonly WakeEvent _probeWake = new();
    private readonly Thread _probe;
    private long _heardAt = Environment.TickCount64;
    private ulong _heartbeats;
    private SessionLink _traceLink;
    private readonly bool _takesPrevious;
    private bool _isTraceJoined;
    private bool _awaitsCollector;
    private bool _collectorStops;

    private AgentSession(Agent agent, Fd socket, Welcome welcome)
    {
        _agent = agent;
        _link = new SessionLink(agent.Identity.BootId, welcome, agent.Timings);
        _traceLink = _link;
        _takesPrevious = welcome.Capabilities?.HasFlag(CollectorCapabilities.PreviousTrace) == true;
        _control = new FrameChannel(socket, agent.Stop.Wake, IsSendHopeless);
        _readiness = new ReadinessReporter(agent.Paths, _control);
        _files = new FileOffers(_control, agent.Hashes, Acknowledged);
        _probe = new Thread(ProbePath, 128 * 1024) { Name = "probe", IsBackground = true };
        agent.State.Change(agent.State.Ring.InSession(welcome.Session));
        AgentLog.Info($"session {welcome.Session} with {agent.Host.Target}");
    }

    /// <exception cref="LinuxException">No connection, or no answer.</exception>
    /// <exception cref="RefusedException">The collector does not want this guest now.</exception>
    public static AgentSession Open(Agent agent)
    {
        Fd socket = agent.Host.Connect(ConnectionKind.Control);
        try
        {
            SocketWait.MakeNonBlocking(socket.Value);
            Hello hello = new()
            {
                OldestVersion = Wire.OldestVersion,
                NewestVersion = Wire.NewestVersion,
                Kind = ConnectionKind.Control,
                BootId = agent.Identity.BootId,
                Control = agent.Identity.ToHello(
                    agent.State.Ring.Session, agent.Trace?.SubBufferBytes ?? 0, agent.Trace is null ? "" : TraceInstance.Clock, agent.Notes.Lines),
            };
            Welcome welcome = Handshake.Exchange(
                socket.Value, hello, agent.Timings.Handshake, agent.Stop.Wake, () => agent.Stop.IsRequested);
            return new AgentSession(agent, socket, welcome);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Returns when collector or agent have ended the session in order.</summary>
    /// <exception cref="LinuxException">The session broke.</exception>
    public void Run()
    {
        _probe.Start();
        _agent.Kmsg?.Join(_link);
        _readiness.Report();
        _agent.Control?.Begin(this);
        _agent.Metadata.OfferAll(_files, _agent.Control?.RequestedEvents ?? []);
        _agent.Pstore.OfferAll(_files);
        if (_takesPrevious)
        {
            _agent.Persistent?.OfferAll(_files);
        }
        Timings timings = _agent.Timings;
        Recurring heartbeat = new(timings.Heartbeat);
        Recurring counters = new(timings.Counters);
        Recurring refresh = new(timings.Refresh);
        TimeSpan quiet = _agent.Trace?.Flush ?? timings.Heartbeat;
        Recurring flush = new(quiet < timings.Heartbeat ? quiet : timings.Heartbeat);
        while (!_agent.Stop.IsRequested && !_collectorStops)
        {
            TakeFrames();
            _files.Step();
            _agent.Control?.Step();
            _agent.Persistent?.Step();
            JoinTrace();
            if (flush.IsDue())
            {
                _agent.Trace?.SendForSleepers();
            }
            if (heartbeat.IsAboutDue())
            {
                _control.Send(new Heartbeat(_heartbeats++));
                _agent.Trace?.FollowOnlineCpus();
            }
            if (counters.IsAboutDue())
            {
                _agent.Trace?.Report(_control, _link);
            }
            if (refresh.IsAboutDue() && _isTraceJoined)
            {
                _agent.Metadata.OfferChanged(_files);
                _agent.Pstore.OfferNew(_files);
                _readiness.Report();
            }
            CheckAlive();
            int due = Math.Min(flush.MillisecondsLeft, Math.Min(heartbeat.MillisecondsLeft, counters.MillisecondsLeft));
            int wait = _files.HasWork ? 0 : Math.Min(due, MillisecondsToLive);
            wait = Math.Min(wait, _agent.Control?.MillisecondsLeft ?? wait);
            SocketWait.For(_control.Socket, POLLIN, _agent.Stop.Wake, wait);
        }
        EndInOrder();
    }

    public void Dispose()
    {
        Advance(SessionPhase.Closed);
        _agent.Control?.End();
        _files.Dispose();
        _control.Dispose();
        if (_probe.IsAlive)
        {
            _probeWake.Set();
            _probe.Join();
        }
        _probeWake.Dispose();
    }

    private void TakeFrames()
    {
        if (!_control.Receive())
        {
            throw new LinuxException("recv", Errno.ECONNRESET, "control connection");
        }
        while (_control.TryTake(out ReadOnlySpan<byte> body))
        {
            _heardAt = Environment.TickCount64;
            Take(body);
        }
    }

    private void Take(ReadOnlySpan<byte> body)
    {
        if (!Frame.TryReadType(body, out MessageType type))
        {
            throw FrameChannel.BadFrame();
        }
        switch (type)
        {
            case MessageType.Ping:
                Answer(Decode<Ping>(body));
                break;
            case MessageType.FileAnswer:
                _files.Answered(Decode<FileAnswer>(body));
                break;
            case MessageType.FileStored:
                _files.Stored(Decode<FileStored>(body));
                break;
            case MessageType.TraceRequest:
                Take(Decode<TraceRequest>(body));
                break;
            case MessageType.Stop:
                AgentLog.Info($"the collector stops: {Decode<Stop>(body).Reason}");
                _collectorStops = true;
                break;
            // A heartbeat has done its work by arriving; types of a newer collector are not for this agent.
            default:
                break;
        }
    }

    private static T Decode<T>(ReadOnlySpan<byte> body)
        where T : struct, IMessage<T> => Frame.TryDecode(body, out T message) ? message : throw FrameChannel.BadFrame();

    private void Take(in TraceRequest request)
    {
        if (_agent.Control is TraceControl control)
        {
            control.Take(request);
            return;
        }
        string refusal = _agent.Notes.Find("no tracing") ?? "this guest cannot trace";
        Answer(new TraceAnswer(request.Id, refusal, TraceSettings.None, 0, null, null));
    }

    public bool IsStreaming => _isTraceJoined;

    public void Answer(in TraceAnswer answer) => _control.Send(answer);

    public void OfferFormats(List<string> events) => _agent.Metadata.OfferFormats(_files, events);

    public string? RemakeRings(Func<string?> change)
    {
        TraceRecorder trace = _agent.Trace!;
        trace.StopRecording();
        _traceLink.Advance(SessionPhase.Draining);
        trace.Notify();
        if (!Await(_agent.Timings.StopDrain, () => trace.IsDoneWith(_traceLink)))
        {
            // What cannot be sent now is lost with the rings, and counted.
            _traceLink.Advance(SessionPhase.Closed);
            trace.Notify();
            Await(Hurry, () => trace.IsDoneWith(_traceLink));
        }
        string? refusal = trace.Remake(change, resume: true);
        trace.Report(_control, _link);
        _traceLink = _link.Again();
        _isTraceJoined = false;
        _awaitsCollector = true;
        _agent.Metadata.OfferHeaderPage(_files);
        return refusal;
    }

    private void Acknowledged(OfferedFile file)
    {
        _agent.Pstore.Acknowledged(file);
        _agent.Persistent?.Acknowledged(file, _files);
        _agent.Control?.Acknowledged(file.Name);
        _awaitsCollector &= file.Name != MetadataFiles.HeaderPage;
    }

    private void Answer(Ping ping)
    {
        LocalClockSample? local = ping.WithLocalClock ? _agent.LocalClock?.Sample() : null;
        long boot = Sys.Now(CLOCK_BOOTTIME);
        long realTime = Sys.Now(CLOCK_REALTIME);
        _control.Send(new Pong(ping.Number, boot, realTime, local?.Local, local?.Boot, local?.Error));
    }

    private void JoinTrace()
    {
        if (_isTraceJoined || !_files.IsMetadataOffered || _awaitsCollector)
        {
            return;
        }
        _isTraceJoined = true;
        if (_agent.Trace is TraceRecorder trace)
        {
            // vCPUs may have come and gone while there was no session.
            trace.FollowOnlineCpus();
            // Rings of an earlier generation are settled before the first Hello of this one.
            trace.Report(_control, _link);
            trace.Join(_traceLink);
        }
        // What start and metadata have left: from here on almost nothing is allocated.
        GC.Collect();
    }

    private int MillisecondsToLive => (int)Math.Max(0, _heardAt + (long)_agent.Timings.DeadAfter.TotalMilliseconds - Environment.TickCount64);

    private void CheckAlive()
    {
        if (_link.IsUnknown)
        {
            throw new LinuxException("connect", Errno.ECONNRESET, "session: the collector does not know it any more");
        }
        if (MillisecondsToLive == 0)
        {
            throw new LinuxException("recv", Errno.ETIMEDOUT, "control connection: the collector says nothing");
        }
    }

    private void EndInOrder()
    {
        bool agentStops = _agent.Stop.IsRequested;
        if (agentStops)
        {
            _agent.Trace?.StopRecording();
        }
        Advance(agentStops ? SessionPhase.Draining : SessionPhase.Ending);
        if (!AwaitStreams(agentStops ? _agent.Timings.StopDrain : _agent.Timings.Drain + Hurry) && agentStops)
        {
            // Streams that cannot be finished are cut, so that their last figures hold also for what was on its way.
            Advance(SessionPhase.Closed);
            AwaitStreams(Hurry);
        }
        if (agentStops)
        {
            _agent.Control?.RestoreAtStop();
        }
        ulong left = _agent.Trace?.Report(_control, _link, leaves: agentStops) ?? 0;
        if (left > 0)
        {
            AgentLog.Warning($"{left} events were not sent in time and stay in the trace rings until an agent starts again in this boot");
        }
        if (agentStops)
        {
            _control.Send(new Goodbye("the agent stops"));
        }
        _ = Sys.Shutdown(_control.Socket, SHUT_WR);
        // Frames of the collector that were under way would turn a close into a reset, and that could overtake what was sent.
        Recurring close = new(TimeSpan.FromMilliseconds(HurriedSendMilliseconds));
        while (!close.IsDue() && _control.Receive())
        {
            while (_control.TryTake(out _))
            {
            }
            SocketWait.For(_control.Socket, POLLIN, _agent.Stop.Wake, close.MillisecondsLeft);
        }
    }

    /// <returns>True when all streams are through with this session.</returns>
    private bool AwaitStreams(TimeSpan limit) =>
        Await(limit, () => (_agent.Trace?.IsDoneWith(_traceLink) ?? true) && (_agent.Kmsg?.IsDoneWith(_link) ?? true));

    private bool Await(TimeSpan limit, Func<bool> isDone)
    {
        Recurring left = new(limit);
        while (!isDone())
        {
            if (left.IsDue())
            {
                return false;
            }
            SocketWait.Sleep(_agent.Stop.Wake, left.MillisecondsLeft);
        }
        return true;
    }

    private void Advance(SessionPhase phase)
    {
        _link.Advance(phase);
        _traceLink.Advance(phase);
        _agent.Kmsg?.Notify();
        _agent.Trace?.Notify();
    }

    // Only an answer, or silence, tells something of the path; a connection that could not be made is tried again.
    private void ProbePath()
    {
        Backoff backoff = new(_agent.Timings);
        string? lastFault = null;
        while (!_link.IsClosed)
        {
            try
            {
                string? fault = new PathProbe(_agent.Host, _link, _probeWake).Run();
                if (fault is null)
                {
                    _link.LiftSendLimit();
                    AgentLog.Info("64 KiB packets pass");
                    return;
                }
                AgentLog.Warning($"64 KiB packets do not pass, sends are capped at {Wire.CappedSendBytes} bytes: {fault}");
                return;
            }
            catch (Exception e) when (e is LinuxException or RefusedException)
            {
                if (!_link.IsClosed && e.Message != lastFault)
                {
                    AgentLog.Warning($"the path could not be probed: {e.Message}; retrying");
                    lastFault = e.Message;
                }
            }
            if (!_link.IsClosed)
            {
                SocketWait.Sleep(_probeWake, backoff.NextMilliseconds());
            }
        }
    }

    private bool IsSendHopeless(long waited) =>
        waited > (_agent.Stop.IsRequested ? HurriedSendMilliseconds : (long)_agent.Timings.DeadAfter.TotalMilliseconds);
}
