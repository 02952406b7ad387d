using VsockPair.Storage;

namespace VsockPair.Clocks;

/// <summary>A moment after which a boot's clocks no longer were where they could have drifted.</summary>
/// <param name="Time">Host time of the first sample after it.</param>
/// <param name="AheadNs">How far the host's realtime ran ahead of the guest's trace clock; negative if back. Nanoseconds.</param>
internal sealed record ClockJump(DateTimeOffset Time, long AheadNs);

/// <summary>How well a boot's clocks are known.</summary>
internal sealed record ClockReport
{
    private const int MostJumps = 10;

    public required DateTimeOffset LastSample { get; init; }

    public required int Samples { get; init; }

    /// <summary>By how much host time of a trace time stamp may be wrong, at the last sample. Nanoseconds.</summary>
    public required long ErrorNs { get; init; }

    /// <summary>The same for a stamp of the kernel log; null when the guest does not show that clock.</summary>
    public required long? KmsgErrorNs { get; init; }

    /// <summary>By how much the guest's trace clock runs faster than the host's realtime.</summary>
    public required double DriftPpm { get; init; }

    /// <summary>By how much the guest's realtime is ahead of the host's. Nanoseconds.</summary>
    public required decimal RealtimeAheadNs { get; init; }

    /// <summary>How often the guest was paused, restored, moved or suspended, or the host's realtime set.</summary>
    public required int Jumps { get; init; }

    /// <summary>The newest of them, oldest first.</summary>
    public required IReadOnlyList<ClockJump> LastJumps { get; init; }

    public static ClockReport Of(ClockModel model)
    {
        ClockSample newest = model.Newest;
        (ClockPoint After, long Jump)[] jumps = [.. model.RealTime.Jumps];
        long kmsgError = model.HostAtLocal(newest.GuestLocal ?? newest.GuestBoot).Error;
        return new ClockReport
        {
            LastSample = newest.Time,
            Samples = model.Samples,
            ErrorNs = model.HostAtBoot(newest.GuestBoot).Error,
            KmsgErrorNs = kmsgError == ClockReading.Unbounded ? null : kmsgError,
            DriftPpm = -model.RealTime.Rate.Drift * 1e6,
            // The guest's figure may be anything: the difference of two 64-bit numbers needs more.
            RealtimeAheadNs = (decimal)newest.GuestRealTime - newest.HostRealTime,
            Jumps = jumps.Length,
            LastJumps = [.. jumps.TakeLast(MostJumps).Select(j => new ClockJump(new ClockReading(j.After.To, 0).Time, j.Jump))],
        };
    }
}
