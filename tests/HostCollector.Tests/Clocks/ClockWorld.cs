using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Clocks;

/// <summary>
/// A host and a guest whose clocks are known exactly. Time advances by <see cref="Run"/> and <see cref="Pause"/>; <see cref="Sample"/> measures as the collector does, with
/// round trips that are random and as lopsided as they can be.
/// </summary>
internal sealed class ClockWorld(int seed)
{
    public const long Microsecond = 1000;
    public const long Millisecond = 1_000_000;
    public const long Second = 1_000_000_000;

    private readonly Random _random = new(seed);
    private readonly List<(long Boot, long RealTime)> _truth = [];
    private double _guestAhead;

    public List<ClockSample> Samples { get; } = [];

    public long Monotonic { get; private set; } = 5000 * Second;

    public long RealTimeAhead { get; set; } = 1_764_000_000 * Second;

    public long Boot => (long)_guestAhead;

    /// <summary>Guest seconds per host second, less one.</summary>
    public double Drift { get; set; } = 30e-6;

    /// <summary>printk's clock per trace clock, less one.</summary>
    public double LocalDrift { get; set; } = 80e-6;

    public long RoundTrip { get; set; } = 400 * Microsecond;

    public long RealTime => Monotonic + RealTimeAhead;

    public long Local => Boot + (long)(Boot * LocalDrift) - LocalBehind;

    public long LocalBehind { get; set; }

    /// <summary>What the model is judged by: guest moments and the host's time at each.</summary>
    public IReadOnlyList<(long Boot, long RealTime)> Truth => _truth;

    public void Run(long nanoseconds)
    {
        const long Step = Second / 4;
        while (nanoseconds > 0)
        {
            long step = Math.Min(nanoseconds, Step);
            Advance(step);
            _truth.Add((Boot, RealTime));
            nanoseconds -= step;
        }
    }

    /// <summary>The guest stands still.</summary>
    public void Pause(long nanoseconds) => Monotonic += nanoseconds;

    /// <summary>A snapshot is restored.</summary>
    public void GoBack(long nanoseconds) => _guestAhead -= nanoseconds;

    public void SuspendGuest(long nanoseconds)
    {
        Advance(nanoseconds);
        LocalBehind += nanoseconds;
    }

    public void Sample()
    {
        long trip = RoundTrip / 2 + _random.NextInt64(RoundTrip);
        long there = _random.Next(4) switch { 0 => 0, 1 => trip, _ => _random.NextInt64(trip + 1) };
        long half = trip / 2;
        long monotonic = Monotonic;
        long realTime = RealTime;
        Advance(there);
        long boot = Boot;
        long local = Local;
        Advance(trip - there);
        Samples.Add(new ClockSample
        {
            Time = DateTimeOffset.UnixEpoch,
            HostMonotonic = monotonic + half,
            HostRealTime = realTime + half,
            GuestBoot = boot,
            GuestRealTime = 0,
            Error = half + 1,
            GuestLocal = local,
            GuestLocalAtBoot = boot,
            GuestLocalError = 20 * Microsecond,
        });
    }

    /// <summary>A recording of so many bursts.</summary>
    public void Record(int bursts, long interval = 10 * Second)
    {
        for (int i = 0; i < bursts; i++)
        {
            Run(interval);
            Sample();
        }
    }

    private void Advance(long nanoseconds)
    {
        Monotonic += nanoseconds;
        _guestAhead += nanoseconds * (1 + Drift);
    }
}
