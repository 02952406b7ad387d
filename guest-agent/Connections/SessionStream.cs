using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Connections;

/// <summary>
/// A thread that serves one stream (a vCPU's trace, or the kernel log) in session after session: it connects, shows the session's token,
/// streams, and connects again when only its own connection broke. The main thread gives it sessions and wakes it.
/// </summary>
internal abstract class SessionStream : IDisposable
{
    // .NET's default of 8 MB would be reserved only, but a small stack also bounds what deep calls can touch.
    private const int StackBytes = 128 * 1024;

    private readonly Thread _thread;
    private readonly IHostConnector _host;
    private readonly WakeEvent _owner;
    private volatile SessionLink? _link;
    private volatile SessionLink? _doneWith;
    private volatile bool _isDismissed;
    private volatile bool _hasEnded;

    protected SessionStream(string name, IHostConnector host, WakeEvent owner)
    {
        Name = name;
        _host = host;
        _owner = owner;
        _thread = new Thread(Live, StackBytes) { Name = name, IsBackground = true };
    }

    public string Name { get; }

    protected WakeEvent Wake { get; } = new();

    protected abstract ConnectionKind Kind { get; }

    /// <summary>Nothing will come of the stream's source any more: its thread ends.</summary>
    protected virtual bool IsExhausted => false;

    /// <summary>The thread is through, for good.</summary>
    public bool HasEnded => _hasEnded;

    public void Start() => _thread.Start();

    public void Join(SessionLink link)
    {
        _link = link;
        Wake.Set();
    }

    /// <summary>The thread ends, once it is through with its session.</summary>
    public void Dismiss()
    {
        _isDismissed = true;
        Wake.Set();
    }

    /// <summary>Something about the session has changed: look at it.</summary>
    public void Notify() => Wake.Set();

    /// <summary>The stream sends nothing more in this session.</summary>
    public bool IsDoneWith(SessionLink link) => ReferenceEquals(_doneWith, link);

    /// <summary>Runs once on the stream's thread before anything else.</summary>
    protected virtual void Prepare()
    {
    }

    /// <summary>Runs once on the stream's thread when it ends before the process does.</summary>
    protected virtual void Release()
    {
    }

    protected abstract Hello BuildHello(SessionLink link);

    /// <summary>Streams until the connection breaks or the session's phase ends it.</summary>
    /// <returns>True when the stream is through with this session, false when its connection broke.</returns>
    protected abstract bool Run(Fd socket, in Welcome welcome, SessionLink link);

    /// <summary>Waits a moment until the other side has closed what this side has shut down.</summary>
    protected void FinishConnection(Fd socket, SessionLink link)
    {
        // The other side may be gone already; then there is nothing to wait for.
        if (Sys.Shutdown(socket.Value, Constants.SHUT_WR) < 0)
        {
            return;
        }
        long deadline = Environment.TickCount64 + (long)link.Timings.Close.TotalMilliseconds;
        while (!link.IsClosed && SocketWait.IsOpen(socket.Value))
        {
            long left = deadline - Environment.TickCount64;
            if (left <= 0)
            {
                return;
            }
            SocketWait.For(socket.Value, Constants.POLLIN, Wake, (int)left);
        }
    }

    private void Live()
    {
        try
        {
            Prepare();
            while (!_isDismissed)
            {
                SessionLink? link = _link;
                if (link is not null && !IsDoneWith(link))
                {
                    Serve(link);
                    _doneWith = link;
                    if (IsExhausted)
                    {
                        break;
                    }
                    _owner.Set();
                    continue;
                }
                SocketWait.Sleep(Wake, -1);
            }
            Release();
            _hasEnded = true;
            _owner.Set();
        }
#pragma warning disable CA1031 // The last stop of a thread: whatever it was, the process must not go on without this stream.
        catch (Exception e)
#pragma warning restore CA1031
        {
            AgentLog.Error($"{Name} failed, ending: {e.Message}");
            Environment.Exit(ExitCode.Failed);
        }
    }

    private void Serve(SessionLink link)
    {
        Backoff backoff = new(link.Timings);
        string? lastFault = null;
        while (link.Phase is SessionPhase.Open or SessionPhase.Draining)
        {
            string fault;
            // Until there is a connection nothing can have lived for long.
            long connectedAt = long.MaxValue;
            try
            {
                using Fd socket = _host.Connect(Kind);
                SocketWait.MakeNonBlocking(socket.Value);
                Welcome welcome = Handshake.Exchange(socket.Value, BuildHello(link), link.Timings.Handshake, Wake, () => link.IsClosed);
                connectedAt = Environment.TickCount64;
                if (Run(socket, welcome, link))
                {
                    return;
                }
                fault = "the collector closed the connection";
            }
            catch (RefusedException e) when (e.Reason == RefusalReason.NoSuchSession)
            {
                link.ReportUnknown();
                return;
            }
            catch (Exception e) when (e is LinuxException or RefusedException)
            {
                fault = e.Message;
            }
            if (link.IsClosed)
            {
                return;
            }
            // One that is accepted and dropped at once must neither storm the collector nor fill the log.
            if (Environment.TickCount64 - connectedAt >= link.Timings.Settled.TotalMilliseconds)
            {
                backoff.Reset();
                lastFault = null;
            }
            if (fault != lastFault)
            {
                AgentLog.Warning($"{Name}: {fault}; retrying");
                lastFault = fault;
            }
            if (link.Phase is SessionPhase.Open or SessionPhase.Draining)
            {
                SocketWait.Sleep(Wake, backoff.NextMilliseconds());
            }
        }
    }

    public void Dispose() => Wake.Dispose();
}
