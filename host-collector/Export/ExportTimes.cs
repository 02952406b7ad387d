using VsockPair.Clocks;
using VsockPair.Tracing;

namespace VsockPair.Export;

/// <summary>Whose clock an export's time stamps show.</summary>
internal sealed class ExportTimes
{
    /// <summary>Peer of files on the host's realtime: "REALTIME", since there is no trace of that clock itself.</summary>
    private const ulong RealTimeId = 0x454D_4954_4C41_4552;

    private readonly (long Time, long Offset)[] _moments;
    private readonly long[] _times;

    private ExportTimes(ClockLine? line, ulong peerId, IEnumerable<(long Time, long Offset)> moments)
    {
        Line = line;
        PeerId = peerId;
        _moments = [.. moments];
        _times = [.. _moments.Select(m => m.Time)];
    }

    /// <summary>The guest's trace clock, as the kernel stamped its events.</summary>
    public static ExportTimes Guest { get; } = new(null, 0, []);

    /// <summary>The wanted clock on the guest's trace clock; null when that is wanted itself.</summary>
    public ClockLine? Line { get; }

    /// <summary>The line as a .dat has it: moments, and what is to be added then.</summary>
    public IReadOnlyList<(long Time, long Offset)> Moments => _moments;

    /// <summary>Trace id of what the time stamps are to be merged with.</summary>
    public ulong PeerId { get; }

    /// <param name="stretch">Of the trace clock, that is exported.</param>
    /// <param name="vcpus">One more than the highest number.</param>
    public static ExportTimes HostRealTime(ClockModel clock, (long From, long To) stretch, int vcpus) => Of(clock.RealTime, RealTimeId, stretch, vcpus);

    /// <inheritdoc cref="HostRealTime"/>
    public static ExportTimes HostTrace(ClockModel clock, HostTraceFile trace, (long From, long To) stretch, int vcpus) => Of(clock.Monotonic, trace.Id, stretch, vcpus);

    /// <summary>What is shown for an event that the kernel stamped so, to the nanosecond what trace-cmd makes of it (<see cref="TimeShift"/>). Nanoseconds.</summary>
    public ulong Stamp(ulong time)
    {
        if (_moments.Length == 0)
        {
            return time;
        }
        long at = (long)Math.Min(time, long.MaxValue);
        long offset = _moments[0].Offset;
        if (_moments.Length > 1)
        {
            int found = Array.BinarySearch(_times, at);
            int low = Math.Clamp(found < 0 ? ~found - 1 : found, 0, _moments.Length - 2);
            ((long Time, long Offset) a, (long Time, long Offset) b) = (_moments[low], _moments[low + 1]);
            long delta = b.Time - a.Time;
            offset = a.Offset + (unchecked((at - a.Time) * (b.Offset - a.Offset)) + delta / 2) / delta;
        }
        return (ulong)Math.Max(0, unchecked(at + offset));
    }

    public RingEvent Stamp(in RingEvent ringEvent) => Line is null ? ringEvent : ringEvent with { TimeStamp = Stamp(ringEvent.TimeStamp) };

    private static ExportTimes Of(ClockLine line, ulong peerId, (long From, long To) stretch, int vcpus) =>
        new(line, peerId, ClockMoments.Of(line, stretch.From, stretch.To, TimeShift.MostMomentsOf(vcpus)));
}
