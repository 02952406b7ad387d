using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>One look at <c>local_clock()</c>.</summary>
/// <param name="Local">What printk would stamp, nanoseconds.</param>
/// <param name="Boot">CLOCK_BOOTTIME in the middle of the look.</param>
/// <param name="Error">Half the time that it took.</param>
internal readonly record struct LocalClockSample(long Local, long Boot, long Error);

/// <summary>
/// Reads the clock that printk stamps, which no system call shows: the line "now ts" of a ring whose trace clock is <c>local</c>. That is the
/// top-level ring's default; only where somebody has changed it does the agent make a second, smallest instance.
/// </summary>
internal sealed class LocalClock : IDisposable
{
    private const string ClockName = "local";
    private const string InstanceName = "vsockpair-clock";

    private readonly Tracefs _top;
    private Tracefs _source;
    private CpuStatsFile _stats;
    private PolledFile _clock;

    public LocalClock(Tracefs top)
    {
        _top = top;
        _source = top;
        _stats = OpenStats();
        _clock = OpenClock();
    }

    /// <summary>Null when the clock cannot be read.</summary>
    public LocalClockSample? Sample()
    {
        if (!IsLocal())
        {
            if (ReferenceEquals(_source, _top) && TryMakeInstance() is Tracefs own)
            {
                Dispose();
                _source = own;
                _stats = OpenStats();
                _clock = OpenClock();
            }
            else
            {
                return null;
            }
        }
        long before = Sys.Now(Constants.CLOCK_BOOTTIME);
        CpuStats stats = _stats.Read();
        long after = Sys.Now(Constants.CLOCK_BOOTTIME);
        return stats.Now is long now ? new LocalClockSample(now, before + (after - before) / 2, (after - before + 1) / 2) : null;
    }

    public void Dispose()
    {
        _stats.Dispose();
        _clock.Dispose();
    }

    // "[local] global counter …"
    private bool IsLocal()
    {
        Span<byte> text = stackalloc byte[512];
        return text[.._clock.Read(text)].IndexOf("[local]"u8) >= 0;
    }

    private Tracefs? TryMakeInstance()
    {
        Tracefs own = _top.Instance(InstanceName);
        int made = own.TryMake();
        if (made is < 0 and not -Errno.EEXIST)
        {
            AgentLog.Warning($"the kernel log's clock cannot be read, ignoring: mkdir {own.Folder}: {Errno.Describe(-made)}");
            return null;
        }
        own.TryWrite("buffer_size_kb", "1");
        return own.TryWrite("trace_clock", ClockName) == 0 ? own : null;
    }

    private CpuStatsFile OpenStats() => new(_source.Path("per_cpu/cpu0/stats"));

    private PolledFile OpenClock() => new(_source.Path("trace_clock"));
}
