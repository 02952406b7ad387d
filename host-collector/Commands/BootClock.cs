using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>
/// Host time and the guest's own clocks, from the samples of <c>clock.jsonl</c>. The sample before a moment counts (the first one for all before it):
/// they are 10 s apart, in which a clock drifts by less than a millisecond.
/// </summary>
internal sealed class BootClock
{
    private readonly ClockSample[] _samples;

    private BootClock(ClockSample[] samples) => _samples = samples;

    /// <summary>Null when no ping has been answered in this boot.</summary>
    public static BootClock? Load(StoredBoot boot, TextWriter remarks)
    {
        ClockSample[] samples = [.. JsonLines.Read(StorePaths.Clock(boot.Folder), StoreJson.Default.ClockSample, remarks)];
        return samples.Length == 0 ? null : new BootClock(samples);
    }

    /// <summary>Host time of a trace time stamp.</summary>
    public DateTimeOffset HostAtBoot(long boot)
    {
        ClockSample sample = Before(boot, s => s.GuestBoot);
        return FromNanoseconds(sample.HostRealTime + (boot - sample.GuestBoot));
    }

    /// <summary>Host time of a stamp of the kernel log.</summary>
    public DateTimeOffset HostAtLocal(long local)
    {
        ClockSample sample = Before(local, LocalOf);
        return FromNanoseconds(sample.HostRealTime + (local - LocalOf(sample)));
    }

    /// <summary>The trace clock at a moment of the host's.</summary>
    public long BootAtHost(DateTimeOffset time)
    {
        long host = ToNanoseconds(time);
        ClockSample sample = Before(host, s => s.HostRealTime);
        return sample.GuestBoot + (host - sample.HostRealTime);
    }

    /// <summary>What the kernel log stamps at a moment of the host's.</summary>
    public long LocalAtHost(DateTimeOffset time)
    {
        long host = ToNanoseconds(time);
        ClockSample sample = Before(host, s => s.HostRealTime);
        return LocalOf(sample) + (host - sample.HostRealTime);
    }

    /// <summary>What the kernel log stamps at a trace time stamp.</summary>
    public long LocalAtBoot(long boot)
    {
        ClockSample sample = Before(boot, s => s.GuestBoot);
        return LocalOf(sample) + (boot - sample.GuestBoot);
    }

    /// <summary>The trace clock at a stamp of the kernel log.</summary>
    public long BootAtLocal(long local)
    {
        ClockSample sample = Before(local, LocalOf);
        return sample.GuestBoot + (local - LocalOf(sample));
    }

    /// <summary>Trace clock and host time, in nanoseconds, at the samples of a stretch of the trace clock, and at the last one before it.</summary>
    public IEnumerable<(long Boot, long Host)> PairsIn(ulong from, ulong to)
    {
        ClockSample before = Before((long)Math.Min(from, long.MaxValue), s => s.GuestBoot);
        return _samples
            .Where(s => s == before || (s.GuestBoot >= 0 && (ulong)s.GuestBoot >= from && (ulong)s.GuestBoot <= to))
            .Select(s => (s.GuestBoot, s.HostRealTime));
    }

    /// <summary>Where a guest does not tell its local clock, the trace clock is close: both begin with the boot.</summary>
    private static long LocalOf(ClockSample sample) =>
        sample is { GuestLocal: long local, GuestLocalAtBoot: long at } ? sample.GuestBoot + (local - at) : sample.GuestBoot;

    private ClockSample Before(long moment, Func<ClockSample, long> clock)
    {
        int low = 0;
        int high = _samples.Length;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            (low, high) = clock(_samples[middle]) <= moment ? (middle, high) : (low, middle);
        }
        return _samples[low];
    }

    private static DateTimeOffset FromNanoseconds(long nanoseconds) => DateTimeOffset.UnixEpoch.AddTicks(nanoseconds / TimeSpan.NanosecondsPerTick);

    private static long ToNanoseconds(DateTimeOffset time) => (time - DateTimeOffset.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick;
}
