using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Connections;

/// <summary>How far a session is. It only ever advances.</summary>
internal enum SessionPhase
{
    Open,

    /// <summary>The collector stops: each stream sends the record it has begun, and shuts down.</summary>
    Ending,

    /// <summary>The agent stops: each stream is drained to its last event, and shut down.</summary>
    Draining,

    /// <summary>Connections are dropped as they are.</summary>
    Closed,
}

/// <summary>What the streams of a session share. The main thread advances it; any stream may report that the collector does not know it.</summary>
internal sealed class SessionLink(Guid bootId, Welcome welcome, Timings timings, SessionLink? origin = null)
{
    private volatile SessionPhase _phase;
    private volatile int _sendLimit = Wire.CappedSendBytes;
    private volatile bool _isUnknown;

    public Guid BootId { get; } = bootId;

    public Guid Token { get; } = welcome.Token;

    public int MaxCpus { get; } = welcome.MaxCpus;

    public Timings Timings { get; } = timings;

    public SessionPhase Phase => _phase;

    /// <summary>Most bytes of one send. Small until the probe has shown that this path carries large packets.</summary>
    public int SendLimit => origin?.SendLimit ?? _sendLimit;

    /// <summary>A stream was refused with <see cref="RefusalReason.NoSuchSession"/>: only a new session helps.</summary>
    public bool IsUnknown => _isUnknown;

    public bool IsClosed => _phase == SessionPhase.Closed;

    public void Advance(SessionPhase phase) => _phase = phase;

    public void LiftSendLimit() => _sendLimit = int.MaxValue;

    public void ReportUnknown()
    {
        _isUnknown = true;
        origin?.ReportUnknown();
    }

    /// <summary>The same session once more, for streams that were ended in its course and begin again.</summary>
    public SessionLink Again() => new(BootId, welcome, Timings, this);
}
