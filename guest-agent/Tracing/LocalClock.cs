using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>One look at <c>local_clock()</c>.</summary>
/// <param name="Local">What printk would stamp, nanoseconds.</param>
/// <param name="Boot">CLOCK_BOOTTIME in the middle of the look.</param>
/// <param name="Error">Half the time that it took.</param>
internal readonly record struct LocalClockSample(long Local, long Boot, long Error);

/// <summary>
/// Reads the clock that printk stamps, which no system call shows: the line "now ts" of a ring whose trace clock is <c>perf</c>, which is <c>local_clock()</c>
/// (<c>kernel/trace/trace_clock.c</c>). The trace clock <c>local</c> is not: it is <c>sched_clock()</c>, to which the kernel adds what made it
/// stable (13 ms in the tests' guests, seen up to 0.7 s). The ring is a smallest instance of its own: nobody's clock is changed. It costs the guest 0.4 MB of kernel memory
/// (6.12), and 9 MB where each instance has directory entries for every event (6.1).
/// </summary>
internal sealed class LocalClock : IDisposable
{
    private const string ClockName = "perf";
    private const string InstanceName = "vsockpair-clock";

    private readonly Tracefs _instance;
    private CpuStatsFile? _stats;
    private bool _failed;

    public LocalClock(Tracefs top) => _instance = top.Instance(InstanceName);

    /// <summary>Null when the clock cannot be read.</summary>
    public LocalClockSample? Sample()
    {
        if (_stats is null && !_failed && TryMakeInstance())
        {
            _stats = new CpuStatsFile(_instance.Path("per_cpu/cpu0/stats"));
        }
        if (_stats is null)
        {
            _failed = true;
            return null;
        }
        long before = Sys.Now(Constants.CLOCK_BOOTTIME);
        CpuStats stats = _stats.Read();
        long after = Sys.Now(Constants.CLOCK_BOOTTIME);
        return stats.Now is long now ? new LocalClockSample(now, before + (after - before) / 2, (after - before + 1) / 2) : null;
    }

    public void Dispose() => _stats?.Dispose();

    private bool TryMakeInstance()
    {
        int made = _instance.TryMake();
        if (made is < 0 and not -Errno.EEXIST)
        {
            AgentLog.Warning($"the kernel log's clock cannot be read, ignoring: mkdir {_instance.Folder}: {Errno.Describe(-made)}");
            return false;
        }
        _instance.TryWrite("tracing_on", "0");
        _instance.TryWrite("buffer_size_kb", "1");
        int set = _instance.TryWrite("trace_clock", ClockName);
        if (set != 0)
        {
            AgentLog.Warning($"the kernel log's clock cannot be read, ignoring: {_instance.Path("trace_clock")}: {Errno.Describe(-set)}");
        }
        return set == 0;
    }
}
