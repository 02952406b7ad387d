using VsockPair.Clocks;
using VsockPair.Tracing;

namespace VsockPair.Export;

/// <summary>Whose clock an export's time stamps show.</summary>
internal sealed class ExportTimes
{
    /// <summary>Peer of files on the host's realtime: "REALTIME", since there is no trace of that clock itself.</summary>
    private const ulong RealTimeId = 0x454D_4954_4C41_4552;

    private ExportTimes(ClockLine? line, ulong peerId)
    {
        Line = line;
        PeerId = peerId;
    }

    /// <summary>The guest's trace clock, as the kernel stamped its events.</summary>
    public static ExportTimes Guest { get; } = new(null, 0);

    /// <summary>The wanted clock on the guest's trace clock; null when that is wanted itself.</summary>
    public ClockLine? Line { get; }

    /// <summary>Trace id of what the time stamps are to be merged with.</summary>
    public ulong PeerId { get; }

    public static ExportTimes HostRealTime(ClockModel clock) => new(clock.RealTime, RealTimeId);

    public static ExportTimes HostTrace(ClockModel clock, HostTraceFile trace) => new(clock.Monotonic, trace.Id);

    /// <summary>What is shown for an event that the kernel stamped so. Nanoseconds.</summary>
    public ulong Stamp(ulong time) => Line is null ? time : (ulong)Math.Max(0, Line.At((long)Math.Min(time, long.MaxValue)).Nanoseconds);

    public RingEvent Stamp(in RingEvent ringEvent) => Line is null ? ringEvent : ringEvent with { TimeStamp = Stamp(ringEvent.TimeStamp) };
}
