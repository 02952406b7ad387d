using VsockPair.Protocol;

namespace VsockPair.GuestAgent;

/// <summary>Time limits of a session, as PROTOCOL.md has them; tests shorten them.</summary>
internal sealed class Timings
{
    public TimeSpan Handshake { get; init; } = Wire.HandshakeTimeout;
    public TimeSpan Heartbeat { get; init; } = Wire.HeartbeatInterval;
    public TimeSpan DeadAfter { get; init; } = Wire.DeadAfter;
    public TimeSpan Counters { get; init; } = Wire.ReportInterval;
    public TimeSpan Probe { get; init; } = Wire.ProbeTimeout;
    public TimeSpan Drain { get; init; } = Wire.DrainTimeout;

    /// <summary>
    /// How long a stream that has shut down its side waits for the collector to close. A VMM that passes the half-close on makes it a round trip;
    /// with one that does not, the collector learns of the end only when this side closes too, and each moment of it is trace that the ring must hold.
    /// </summary>
    public TimeSpan Close { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>How often files that change are looked at again.</summary>
    public TimeSpan Refresh { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>What has lived shorter does not reset a back-off: a collector that accepts and drops would be stormed.</summary>
    public TimeSpan Settled { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>For all of a stopping agent's streams together to be drained.</summary>
    public TimeSpan StopDrain { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>For the threads of streams that were dismissed to end, before a change that empties the rings is refused.</summary>
    public TimeSpan Dismiss { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>For the formats of newly requested events to be stored on the host: behind large files, but before the collector gives up on the request.</summary>
    public TimeSpan Formats { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How long a trace that the host asked for outlives its session: several times what a collector's restart takes.</summary>
    public TimeSpan Orphaned { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromSeconds(0.1);
    public TimeSpan LongestBackoff { get; init; } = TimeSpan.FromSeconds(5);
}
