using VsockPair.Protocol;

namespace VsockPair.Sessions;

/// <summary>Limits of a session in time; tests choose their own.</summary>
internal sealed record SessionTimes
{
    /// <summary>For a Hello, and for the rest of any frame that has begun.</summary>
    public TimeSpan Handshake { get; init; } = Wire.HandshakeTimeout;

    public TimeSpan Heartbeat { get; init; } = Wire.HeartbeatInterval;

    public TimeSpan DeadAfter { get; init; } = Wire.DeadAfter;

    public TimeSpan ClockBurst { get; init; } = Wire.ReportInterval;

    /// <summary>Connections of one guest, beyond what its vCPUs need.</summary>
    public double AcceptsPerSecond { get; init; } = 5;

    /// <summary>For an agent to answer a trace request.</summary>
    public TimeSpan TraceAnswer { get; init; } = Wire.TraceTimeout;

    /// <summary>How long a collector that stops waits for its agents to end their streams.</summary>
    public TimeSpan StopWait { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How long a collector of which a part has failed may take to stop. No part can be trusted to; whoever started the collector starts it again.</summary>
    public TimeSpan FaultPatience { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>Values of <c>end_reason</c>.</summary>
internal static class EndReasons
{
    public const string Goodbye = "goodbye";
    public const string Lost = "lost";
    public const string Closed = "closed";
    public const string Stopped = "stopped";
    public const string Superseded = "superseded";
}
