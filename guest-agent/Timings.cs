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

    /// <summary>How often files that change are looked at again.</summary>
    public TimeSpan Refresh { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromSeconds(0.1);
    public TimeSpan LongestBackoff { get; init; } = TimeSpan.FromSeconds(5);
}
