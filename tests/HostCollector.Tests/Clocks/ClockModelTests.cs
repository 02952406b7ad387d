using VsockPair.Clocks;
using VsockPair.Linux;
using VsockPair.Storage;
using static VsockPair.HostCollector.Tests.Clocks.ClockWorld;

namespace VsockPair.HostCollector.Tests.Clocks;

/// <summary>The model against worlds whose clocks are known: the truth always lies within the bound, and the bound is as small as the samples allow.</summary>
public sealed class ClockModelTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(50e-6)]
    [InlineData(-400e-6)]
    public void Steady_clocks_are_told_within_a_bound_of_a_round_trip(double drift)
    {
        ClockWorld world = new(1) { Drift = drift };
        world.Run(Second);
        world.Sample();
        world.Record(100);
        ClockModel model = Model(world);
        AssertTruth(model, world.Truth);
        Assert.Empty(model.RealTime.Jumps);
        Assert.All(world.Truth.Skip(10), t => Assert.InRange(model.HostAtBoot(t.Boot).Error, 0, 700 * Microsecond));
        Assert.InRange(model.RealTime.Rate.Drift, -drift - 5e-6, -drift + 5e-6);
    }

    [Fact]
    public void Before_the_first_and_after_the_last_sample_the_bound_grows()
    {
        ClockWorld world = new(2);
        world.Run(100 * Second);
        int before = world.Truth.Count;
        world.Record(20);
        int end = world.Truth.Count;
        world.Run(1000 * Second);
        ClockModel model = Model(world);
        AssertTruth(model, world.Truth);
        Assert.True(model.HostAtBoot(world.Truth[0].Boot).Error > model.HostAtBoot(world.Truth[before].Boot).Error);
        Assert.True(model.HostAtBoot(world.Truth[^1].Boot).Error > 2 * model.HostAtBoot(world.Truth[end].Boot).Error);
        Assert.InRange(model.HostAtBoot(world.Truth[^1].Boot).Error, 0, 50 * Millisecond);
    }

    [Fact]
    public void A_rate_that_wanders_stays_within_the_bound()
    {
        ClockWorld world = new(3) { Drift = 100e-6 };
        for (int i = 0; i < 200; i++)
        {
            world.Record(1);
            world.Drift = 100e-6 + 15e-6 * Math.Sin(i / 5.0);
        }
        ClockModel model = Model(world);
        AssertTruth(model, world.Truth);
        Assert.Empty(model.RealTime.Jumps);
    }

    [Fact]
    public void A_sample_with_a_huge_round_trip_bends_nothing()
    {
        ClockWorld world = new(4);
        for (int i = 0; i < 60; i++)
        {
            world.RoundTrip = i % 7 == 3 ? 300 * Millisecond : 300 * Microsecond;
            world.Record(1);
        }
        ClockModel model = Model(world);
        AssertTruth(model, world.Truth);
        Assert.Empty(model.RealTime.Jumps);
        Assert.All(world.Truth.Skip(50), t => Assert.InRange(model.HostAtBoot(t.Boot).Error, 0, 2 * Millisecond));
    }

    [Theory]
    [InlineData(60 * Second)]
    [InlineData(3 * Second)]
    [InlineData(50 * Millisecond)]
    public void A_pause_begins_a_new_piece_that_is_precise_after_its_first_sample(long pause)
    {
        ClockWorld world = new(5);
        world.Record(30);
        world.Run(4 * Second);
        world.Pause(pause);
        world.Run(Second / 2);
        world.Sample();
        int after = world.Truth.Count;
        world.Record(4, Second);
        world.Record(30);
        ClockModel model = Model(world);
        AssertTruth(model, world.Truth);
        (ClockPoint point, long jump) = Assert.Single(model.RealTime.Jumps);
        Assert.Equal(world.Samples[30].GuestBoot, point.From);
        Assert.InRange(jump, pause - Millisecond, pause + Millisecond);
        Assert.All(world.Truth.Skip(after), t => Assert.InRange(model.HostAtBoot(t.Boot).Error, 0, 800 * Microsecond));
        // Whether it was before or after the pause nobody knows of this moment; the older line is the guess.
        (long boot, long realTime) = world.Truth[after - 4];
        ClockReading ambiguous = model.HostAtBoot(boot);
        Assert.InRange(ambiguous.Nanoseconds - realTime, -Millisecond, Millisecond);
        Assert.InRange(ambiguous.Error, pause - Millisecond, pause + 2 * Millisecond);
    }

    [Theory]
    [InlineData(3600 * Second)]
    [InlineData(-3600 * Second)]
    [InlineData(-20 * Millisecond)]
    public void A_step_of_the_hosts_realtime_leaves_its_monotonic_clock_in_one_piece(long step)
    {
        ClockWorld world = new(6);
        world.Record(30);
        world.RealTimeAhead += step;
        world.Record(30);
        ClockModel model = Model(world);
        AssertTruth(model, world.Truth);
        Assert.InRange(Assert.Single(model.RealTime.Jumps).Jump, step - Millisecond, step + Millisecond);
        Assert.Empty(model.Monotonic.Jumps);
    }

    [Fact]
    public void Host_moments_are_found_in_the_guests_clocks()
    {
        ClockWorld world = new(7);
        world.Record(30);
        world.Pause(60 * Second);
        long inPause = world.RealTime - 30 * Second;
        world.Run(Second);
        world.Sample();
        long resumed = world.Samples[^1].GuestBoot;
        world.Record(30);
        ClockModel model = Model(world);
        foreach ((long boot, long realTime) in world.Truth.Where(t => t.Boot < world.Samples[29].GuestBoot || t.Boot > resumed))
        {
            Assert.InRange(model.BootAtHost(Time(realTime)) - boot, -Millisecond, Millisecond);
        }
        Assert.Equal(resumed, model.BootAtHost(Time(inPause)));
        Assert.InRange(model.LocalAtHost(Time(world.RealTime)) - world.Local, -Millisecond, Millisecond);
    }

    [Fact]
    public void Printk_stamps_follow_their_own_clock_over_a_suspend()
    {
        ClockWorld world = new(8) { LocalDrift = 300e-6, LocalBehind = 40 * Millisecond };
        world.Record(30);
        long before = world.Local - 5 * Second;
        world.SuspendGuest(600 * Second);
        world.Run(2 * Second);
        world.Sample();
        world.Record(30);
        ClockModel model = Model(world);
        ClockReading now = model.HostAtLocal(world.Local);
        Assert.InRange(now.Nanoseconds - world.RealTime, -now.Error, now.Error);
        Assert.InRange(now.Error, 0, Millisecond);
        Assert.InRange(model.BootAtLocal(before).Nanoseconds - world.Samples[29].GuestBoot, -6 * Second, -4 * Second);
        Assert.Empty(model.RealTime.Jumps);
    }

    [Fact]
    public void After_a_restored_snapshot_the_newer_life_has_its_time_stamps()
    {
        ClockWorld world = new(9);
        world.Record(60);
        world.GoBack(300 * Second);
        int restored = world.Truth.Count;
        world.Run(Second);
        world.Sample();
        world.Record(60);
        ClockModel model = Model(world);
        long first = world.Samples[60].GuestBoot;
        AssertTruth(model, world.Truth.Take(restored).Where(t => t.Boot < first - 11 * Second));
        AssertTruth(model, world.Truth.Skip(restored).Where(t => t.Boot >= first));
    }

    [Fact]
    public void Without_a_local_clock_the_trace_clock_stands_in_and_says_that_no_bound_is_known()
    {
        ClockWorld world = new(10);
        world.Record(3);
        ClockModel model = ClockModel.Of(world.Samples.Select(s => s with { GuestLocal = null, GuestLocalAtBoot = null, GuestLocalError = null }))!;
        Assert.Equal(model.HostAtBoot(world.Boot).Nanoseconds, model.HostAtLocal(world.Boot).Nanoseconds);
        Assert.Equal(ClockReading.Unbounded, model.HostAtLocal(world.Boot).Error);
    }

    /// <summary>Worlds with everything that can happen to clocks, often before the model has seen what is normal.</summary>
    [Fact]
    public void Truth_lies_within_the_bound_in_worlds_at_random()
    {
        for (int seed = 0; seed < 1000; seed++)
        {
            Random random = new(seed);
            ClockWorld world = new(seed) { Drift = (random.NextDouble() - 0.5) * 800e-6, RoundTrip = 50 * Microsecond + random.NextInt64(2 * Millisecond) };
            world.Run(random.NextInt64(20 * Second));
            world.Sample();
            for (int i = 0; i < 12; i++)
            {
                switch (random.Next(6))
                {
                    case 0:
                        // A shorter one could be the drift that two clocks may have over the longest gap here.
                        world.Pause(100 * Millisecond + random.NextInt64(100 * Second));
                        break;
                    case 1:
                        world.RealTimeAhead += (random.Next(2) * 2 - 1) * (100 * Millisecond + random.NextInt64(5000 * Second));
                        break;
                    case 2:
                        world.SuspendGuest(random.NextInt64(20 * Second));
                        break;
                }
                world.Run(random.NextInt64(3 * Second));
                world.Sample();
                world.Record(random.Next(20), random.Next(2) == 0 ? Second : 10 * Second);
            }
            AssertTruth(Model(world), world.Truth, $"world {seed}");
        }
    }

    /// <summary>The guest answers what it wants: the model gives some answer to every question, in bounded time.</summary>
    [Fact]
    public void Hostile_samples_give_a_total_model()
    {
        long[] extremes = [long.MinValue, long.MinValue + 1, -1, 0, 1, ClockPoint.FromLimit - 1, ClockPoint.FromLimit, ClockPoint.ToLimit - 1, ClockPoint.ToLimit, long.MaxValue - 1, long.MaxValue];
        for (int seed = 0; seed < 200; seed++)
        {
            Random random = new(seed);
            long Any() => random.Next(3) switch
            {
                0 => extremes[random.Next(extremes.Length)],
                1 => random.NextInt64(long.MinValue, long.MaxValue),
                _ => random.NextInt64(1000 * Second),
            };
            ClockModel? model = ClockModel.Of([.. Enumerable.Range(0, random.Next(40)).Select(i => new ClockSample
            {
                Time = DateTimeOffset.UnixEpoch,
                HostMonotonic = random.Next(8) == 0 ? Any() : i * 10 * Second,
                HostRealTime = random.Next(8) == 0 ? Any() : 1_764_000_000 * Second + i * 10 * Second,
                GuestBoot = Any(),
                GuestRealTime = Any(),
                Error = random.Next(8) == 0 ? Any() : Millisecond,
                GuestLocal = Any(),
                GuestLocalAtBoot = Any(),
                GuestLocalError = Any(),
            })]);
            if (model is null)
            {
                continue;
            }
            foreach (long question in extremes.Append(Any()))
            {
                Assert.True(model.HostAtBoot(question).Error >= 0);
                Assert.True(model.HostAtLocal(question).Error >= 0);
                Assert.True(model.Monotonic.At(question).Error >= 0);
                _ = model.HostAtBoot(question).Time;
                _ = model.BootAtHost(Time(question));
                _ = model.LocalAtHost(Time(question));
            }
            _ = model.BootAtHost(DateTimeOffset.MaxValue);
            _ = model.BootAtHost(DateTimeOffset.MinValue);
            Assert.True(model.RealTime.Jumps.Count() < 40);
        }
    }

    [Theory]
    [InlineData("steady")]
    [InlineData("jumping")]
    [InlineData("falling")]
    public void A_week_of_samples_is_modelled_in_a_moment(string kind)
    {
        const int Week = 60_480;
        Random random = new(1);
        ClockModel model = ClockModel.Of(Enumerable.Range(0, Week).Select(i => new ClockSample
        {
            Time = DateTimeOffset.UnixEpoch,
            HostMonotonic = i * 10 * Second,
            HostRealTime = 1_764_000_000 * Second + i * 10 * Second,
            GuestBoot = kind switch { "steady" => i * 10 * Second, "jumping" => i * 10 * Second + random.NextInt64(9 * Second), _ => (Week - i) * 10 * Second },
            GuestRealTime = 0,
            Error = 200 * Microsecond,
        }))!;
        // Of this thread's CPU: a busy machine may take what it wants meanwhile.
        long before = Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID);
        for (int i = 0; i < 100_000; i++)
        {
            model.HostAtBoot(random.NextInt64(Week * 10 * Second));
        }
        Assert.InRange(Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID) - before, 0, 2 * Second);
        Assert.True(model.RealTime.Points.Count <= Week);
    }

    private static ClockModel Model(ClockWorld world) => ClockModel.Of(world.Samples)!;

    private static DateTimeOffset Time(long nanoseconds) => new ClockReading(nanoseconds, 0).Time;

    private static void AssertTruth(ClockModel model, IEnumerable<(long Boot, long RealTime)> truth, string what = "")
    {
        foreach ((long boot, long realTime) in truth)
        {
            ClockReading reading = model.HostAtBoot(boot);
            long wrong = reading.Nanoseconds - realTime;
            Assert.True(Math.Abs(wrong) <= reading.Error, $"{what}: at boot {boot} the model is {wrong} ns off and says at most {reading.Error}");
        }
    }
}
