using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Sessions;
using static VsockPair.Linux.Constants;

namespace VsockPair.Listening;

/// <summary>
/// The thread that accepts, and that owns every connection until its Hello is there: peers without a session cost a descriptor and 4 KiB, never a task.
/// A guest's own slots are taken before global ones, so that one guest cannot shut out the others.
/// </summary>
internal sealed class AcceptLoop : IDisposable
{
    private const int WakeTag = -1;
    private const int CheckMilliseconds = 250;
    private const int OutOfFilesMilliseconds = 100;

    private readonly ConcurrentQueue<Action> _requests = new();
    private readonly Dictionary<int, Listener> _listeners = [];
    private readonly Dictionary<int, HelloReader> _pending = [];
    private readonly WakeEvent _wake = new();
    private readonly Fd _epoll = Fd.Own(Sys.EpollCreate(), "epoll_create1", "listeners");
    private readonly IdentityMap _identities;
    private readonly SessionRegistry _registry;
    private readonly GlobalSlots _slots;
    private readonly ConnectionAdmission _admission;
    private readonly SessionTimes _times;
    private readonly FaultSignal _faults;
    private readonly ILogger _log;
    private readonly Thread _thread;
    private long _strangersLogged = long.MinValue / 2;
    private long _failuresLogged = long.MinValue / 2;
    private long _unwritableLogged = long.MinValue / 2;
    private volatile bool _stopping;

    public AcceptLoop(
        IdentityMap identities, SessionRegistry registry, GlobalSlots slots, ConnectionAdmission admission, SessionTimes times, FaultSignal faults, ILogger<AcceptLoop> log)
    {
        _identities = identities;
        _registry = registry;
        _slots = slots;
        _admission = admission;
        _times = times;
        _faults = faults;
        _log = log;
        LinuxException.Check(Sys.EpollControl(_epoll.Value, EPOLL_CTL_ADD, _wake.FdValue, EPOLLIN, WakeTag), "epoll_ctl", "wake event");
        _thread = new Thread(RunGuarded) { Name = "accept", IsBackground = true };
    }

    public void Start() => _thread.Start();

    public void Add(Listener listener) => Request(() =>
    {
        _listeners.Add(listener.Fd.Value, listener);
        LinuxException.Check(Sys.EpollControl(_epoll.Value, EPOLL_CTL_ADD, listener.Fd.Value, EPOLLIN, listener.Fd.Value), "epoll_ctl", listener.Text);
    });

    public void Remove(Listener listener) => Request(() =>
    {
        _listeners.Remove(listener.Fd.Value);
        listener.Fd.Dispose();
    });

    /// <summary>Closes listeners and connections without a session.</summary>
    public void Stop()
    {
        _stopping = true;
        _wake.Set();
        if (_thread.IsAlive)
        {
            _thread.Join();
        }
        foreach (Listener listener in _listeners.Values)
        {
            listener.Fd.Dispose();
        }
        foreach (HelloReader pending in _pending.Values)
        {
            pending.Connection.Dispose();
        }
    }

    public void Dispose()
    {
        _epoll.Dispose();
        _wake.Dispose();
    }

    private void Request(Action request)
    {
        _requests.Enqueue(request);
        _wake.Set();
    }

    private void RunGuarded()
    {
        try
        {
            Run();
        }
        catch (Exception e)
        {
            _faults.Report("accept", e);
        }
    }

    private void Run()
    {
        Span<uint> events = stackalloc uint[64];
        Span<int> tags = stackalloc int[64];
        while (!_stopping)
        {
            int ready = LinuxException.Check(Sys.EpollWait(_epoll.Value, events, tags, _pending.Count > 0 ? CheckMilliseconds : -1), "epoll_wait", "listeners");
            for (int i = 0; i < ready; i++)
            {
                if (tags[i] == WakeTag)
                {
                    _wake.Clear();
                }
                else if (_listeners.TryGetValue(tags[i], out Listener? listener))
                {
                    Accept(listener);
                }
                else if (_pending.TryGetValue(tags[i], out HelloReader? pending))
                {
                    Read(pending);
                }
            }
            while (_requests.TryDequeue(out Action? request))
            {
                request();
            }
            CloseSilent();
        }
    }

    private void Accept(Listener listener)
    {
        int fd = StreamSocket.Accept(listener.Fd.Value, out VsockAddress peer);
        if (fd < 0)
        {
            // Gone already, or one of EMFILE, ENFILE, ENOMEM and the like: then the listener stays readable, and asking again at once would be a busy loop.
            if (fd is not (-Errno.EAGAIN or -Errno.ECONNABORTED))
            {
                ReportFailure(listener.Text, Errno.Describe(-fd));
                Thread.Sleep(OutOfFilesMilliseconds);
            }
            return;
        }
        Fd owned = new(fd);
        GuestIdentity? identity = listener.Guest ?? _identities.Resolve(peer.Cid);
        if (identity is null || !TryFindGuest(identity, out Guest? guest))
        {
            ReportStranger(peer);
            owned.Dispose();
            return;
        }
        if (!guest.TryTakeSlot(_slots.LimitOfGuest))
        {
            guest.Report(Violation.TooManyConnections, listener.Text);
            owned.Dispose();
            return;
        }
        if (!_slots.TryTake())
        {
            guest.ReturnSlot();
            ReportFailure(listener.Text, $"{_slots.Limit} connections are open, the most for the limit of open files");
            owned.Dispose();
            return;
        }
        HelloReader pending = new(new PeerConnection(owned, guest, peer, _slots), Environment.TickCount64 + (long)_times.Handshake.TotalMilliseconds);
        _pending.Add(fd, pending);
        LinuxException.Check(Sys.EpollControl(_epoll.Value, EPOLL_CTL_ADD, fd, EPOLLIN, fd), "epoll_ctl", "accepted connection");
    }

    private bool TryFindGuest(GuestIdentity identity, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Guest? guest)
    {
        try
        {
            guest = _registry.Guest(identity);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (MayLog(ref _unwritableLogged))
            {
                _log.StoreNotWritable(identity.Name, e.Message);
            }
            guest = null;
            return false;
        }
    }

    private void Read(HelloReader pending)
    {
        bool alive = pending.TryRead(out byte[]? hello, out Violation? violation);
        if (hello is not null)
        {
            Forget(pending);
            _admission.Begin(pending.Connection, hello);
        }
        else if (violation is Violation kind)
        {
            Forget(pending);
            pending.Connection.Guest.Report(kind, "handshake");
            pending.Connection.Refuse(RefusalReason.BadHello, "no valid Hello");
        }
        else if (!alive)
        {
            Forget(pending);
            pending.Connection.Dispose();
        }
    }

    private void CloseSilent()
    {
        long now = Environment.TickCount64;
        foreach (HelloReader pending in _pending.Values.Where(p => p.Deadline <= now).ToList())
        {
            Forget(pending);
            pending.Connection.Guest.Report(Violation.SilentHandshake, "handshake");
            pending.Connection.Dispose();
        }
    }

    private void Forget(HelloReader pending)
    {
        int fd = pending.Connection.Fd.Value;
        _pending.Remove(fd);
        Sys.EpollControl(_epoll.Value, EPOLL_CTL_DEL, fd, 0, 0);
    }

    private void ReportStranger(VsockAddress peer)
    {
        if (MayLog(ref _strangersLogged))
        {
            _log.StrangerClosed(peer.ToString());
        }
    }

    private void ReportFailure(string listener, string reason)
    {
        if (MayLog(ref _failuresLogged))
        {
            _log.AcceptFailed(listener, reason);
        }
    }

    /// <summary>Once a second for each kind of line.</summary>
    private static bool MayLog(ref long last)
    {
        long now = Environment.TickCount64;
        if (now - last <= 1000)
        {
            return false;
        }
        last = now;
        return true;
    }
}
