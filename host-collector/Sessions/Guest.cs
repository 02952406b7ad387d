using Microsoft.Extensions.Logging;
using VsockPair.Listening;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>What the running collector knows of one guest: its budget, its slots, its violations and its sessions. Any thread.</summary>
internal sealed class Guest
{
    /// <summary>Lives of one boot that may run side by side, as clones under one name would. Each has streams of its own.</summary>
    public const int MaxSessions = 4;

    private const int LogLinesPerSecond = 10;

    /// <summary>Control, kmsg and probe.</summary>
    private const int ConnectionsBesideBulk = 3;

    /// <summary>What its streams may hold of records that have come in part, or that the disk has not taken.</summary>
    private const long MaxCarryBytes = 64L << 20;

    private readonly Lock _gate = new();
    private readonly ILogger _log;
    private readonly TimeProvider _time;
    private readonly int _maxCpus;
    private readonly long[] _violations = new long[Enum.GetValues<Violation>().Length];
    private readonly List<GuestSession> _sessions = [];
    private readonly AcceptBudget _accepts;
    private int _connections;
    private long _carryBytes;
    private long _logSecond;
    private int _logLines;

    public Guest(GuestIdentity identity, GuestStore store, LimitOptions limits, SessionTimes times, TimeProvider time, ILogger log)
    {
        Identity = identity;
        Store = store;
        _maxCpus = limits.MaxCpus;
        _time = time;
        _accepts = new AcceptBudget(times.AcceptsPerSecond, time);
        _log = log;
        Budget = new TokenBucket(limits.GuestRate, time, deepestSeconds: 1);
        KmsgBudget = new TokenBucket(limits.GuestRate, time);
        ControlBudget = new TokenBucket(limits.GuestRate, time, deepestSeconds: 1);
    }

    /// <summary>As of the newest connection.</summary>
    public GuestIdentity Identity { get; set; }

    public string Name => Store.Name;

    public GuestStore Store { get; }

    public TokenBucket Budget { get; }

    /// <summary>Of its own: a flood of trace must not hold up the kernel log.</summary>
    public TokenBucket KmsgBudget { get; }

    /// <summary>Of its own too: heartbeats and counters must come through whatever else this guest sends.</summary>
    public TokenBucket ControlBudget { get; }

    /// <summary>Held while a session of this guest is begun, which ends others first.</summary>
    public SemaphoreSlim Admission { get; } = new(1, 1);

    public int Connections => Volatile.Read(ref _connections);

    /// <summary>Oldest first.</summary>
    public IReadOnlyList<GuestSession> Sessions
    {
        get
        {
            lock (_gate)
            {
                return [.. _sessions];
            }
        }
    }

    public IReadOnlyDictionary<string, long> Violations =>
        Enum.GetValues<Violation>().Where(kind => Volatile.Read(ref _violations[(int)kind]) > 0)
            .ToDictionary(kind => kind.ToString(), kind => Volatile.Read(ref _violations[(int)kind]));

    public long TotalViolations => _violations.Sum();

    /// <summary>Twice what a guest with its vCPUs needs, since the old connections of an agent that comes back may linger.</summary>
    /// <param name="most">What one guest may have of all slots, whatever its vCPUs.</param>
    public bool TryTakeSlot(int most)
    {
        lock (_gate)
        {
            int vcpus = _sessions.Count == 0 ? 1 : _sessions.Max(s => s.Vcpus);
            int needed = Math.Min(vcpus, _maxCpus) + ConnectionsBesideBulk;
            if (_connections >= Math.Min(most, 2 * needed) || !_accepts.TryTake(needed))
            {
                return false;
            }
            _connections++;
            return true;
        }
    }

    public void ReturnSlot()
    {
        lock (_gate)
        {
            _connections--;
        }
    }

    /// <returns>False when this guest's streams hold too much already; nothing is taken then.</returns>
    public bool TryTakeCarry(long bytes)
    {
        if (Interlocked.Add(ref _carryBytes, bytes) <= MaxCarryBytes)
        {
            return true;
        }
        ReturnCarry(bytes);
        return false;
    }

    public void ReturnCarry(long bytes) => Interlocked.Add(ref _carryBytes, -bytes);

    public void Add(GuestSession session)
    {
        lock (_gate)
        {
            _sessions.Add(session);
        }
    }

    public void Remove(GuestSession session)
    {
        lock (_gate)
        {
            _sessions.Remove(session);
        }
    }

    /// <summary>Counts it, and logs it unless this guest has had its lines for this second.</summary>
    public void Report(Violation violation, string where)
    {
        Interlocked.Increment(ref _violations[(int)violation]);
        if (!MayLog())
        {
            return;
        }
        if (violation is Violation.UnwalkableEvents or Violation.CountersDoNotAddUp)
        {
            _log.ViolationIgnored(Name, violation, where);
        }
        else
        {
            _log.ViolationSeen(Name, violation, where);
        }
    }

    /// <summary>As <see cref="Report"/>, for a mistake of ours that this guest has brought to light.</summary>
    public void ReportFault(Exception e)
    {
        Interlocked.Increment(ref _violations[(int)Violation.CollectorFault]);
        if (MayLog())
        {
            _log.ConnectionFaulted(Name, e);
        }
    }

    /// <summary>Whether this guest still has a line for this second: what it brings about may not flood the log.</summary>
    public bool MayLog()
    {
        long second = _time.GetUtcNow().ToUnixTimeSeconds();
        lock (_gate)
        {
            if (second != _logSecond)
            {
                int dropped = _logLines - LogLinesPerSecond;
                if (dropped > 0)
                {
                    _log.LinesNotLogged(Name, dropped);
                }
                _logSecond = second;
                _logLines = 0;
            }
            return ++_logLines <= LogLinesPerSecond;
        }
    }
}
