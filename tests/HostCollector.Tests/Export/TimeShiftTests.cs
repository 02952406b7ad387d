using System.Buffers.Binary;
using VsockPair.Clocks;
using VsockPair.Export;
using VsockPair.HostCollector.Tests.Clocks;
using static VsockPair.HostCollector.Tests.Clocks.ClockWorld;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>TIME_SHIFT as trace-cmd applies it: what it makes of a time stamp is what the model says.</summary>
public sealed class TimeShiftTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Reader_gets_the_models_times_over_drift_pause_and_step(int seed)
    {
        ClockWorld world = new(seed) { Drift = 200e-6 };
        world.Record(40);
        world.Pause(3600 * Second);
        world.Run(Second);
        world.Sample();
        world.Record(10, Second);
        world.RealTimeAhead -= 86_400 * Second;
        world.Record(40);
        // Nobody listened for a while.
        world.Run(3000 * Second);
        world.Record(5);
        ClockModel model = ClockModel.Of(world.Samples)!;
        long from = world.Truth[0].Boot;
        long to = world.Truth[^1].Boot;
        Assert.Equal(2, model.RealTime.Jumps.Count());
        foreach (ClockLine line in new[] { model.RealTime, model.Monotonic })
        {
            (long Time, long Offset)[] moments = [.. ClockMoments.Of(line, from, to, 4096)];
            Assert.Equal(moments.Select(m => m.Time).Distinct().Order(), moments.Select(m => m.Time));
            foreach ((long boot, _) in world.Truth)
            {
                Assert.InRange(Shift(moments, boot) - line.At(boot).Nanoseconds, -2, 2);
            }
        }
    }

    [Fact]
    public void A_long_recording_gets_as_many_moments_as_may_be_and_keeps_its_jumps()
    {
        ClockWorld world = new(4) { RoundTrip = 100 * Microsecond };
        world.Record(20_000);
        world.Pause(600 * Second);
        world.Run(Second);
        world.Sample();
        world.Record(20_000);
        ClockModel model = ClockModel.Of(world.Samples)!;
        (long Time, long Offset)[] moments = [.. ClockMoments.Of(model.RealTime, 0, world.Boot, 4096)];
        Assert.InRange(moments.Length, 1000, 4096);
        long resumed = world.Samples[20_000].GuestBoot;
        foreach ((long boot, long realTime) in world.Truth.Where(t => t.Boot < world.Samples[19_999].GuestBoot || t.Boot >= resumed))
        {
            Assert.InRange(Shift(moments, boot) - realTime, -Millisecond, Millisecond);
        }
    }

    [Fact]
    public void Hostile_samples_give_a_bounded_option_with_rising_moments()
    {
        Random random = new(5);
        for (int round = 0; round < 50; round++)
        {
            ClockWorld world = new(round);
            world.Record(500);
            ClockModel model = ClockModel.Of(world.Samples.Select(s => s with { GuestBoot = random.NextInt64(ClockPoint.FromLimit) }))!;
            foreach ((long from, long to) in new[] { (0, ClockPoint.FromLimit), (5L, 5L), (100, 50) })
            {
                long[] times = [.. ClockMoments.Of(model.RealTime, from, to, 64).Select(m => m.Time)];
                Assert.InRange(times.Length, 1, 3 * 64);
                Assert.Equal(times.Distinct().Order(), times);
            }
        }
    }

    [Fact]
    public void Option_has_moments_for_every_vcpu()
    {
        ClockWorld world = new(6);
        world.Record(2);
        ClockModel model = ClockModel.Of(world.Samples)!;
        using TraceDatFile file = new(Stream.Null, 4096);
        byte[] option = TimeShift.Encode(file, ExportTimes.HostRealTime(model, (world.Samples[0].GuestBoot, world.Samples[1].GuestBoot), vcpus: 3), vcpus: 3);
        Assert.Equal("REALTIME"u8, option.AsSpan(0, 8));
        uint At(int at) => BinaryPrimitives.ReadUInt32LittleEndian(option.AsSpan(at));
        // Interpolated, three vCPUs, two moments for the first.
        Assert.Equal((1u, 3u, 2u), (At(8), At(12), At(16)));
        // Per vCPU a count and two each of time, offset and scaling; then two fractions for each.
        Assert.Equal(8 + 4 + 4 + 3 * (4 + 2 * 3 * 8) + 3 * 2 * 8, option.Length);
        Assert.Equal(world.Samples[0].GuestBoot, BinaryPrimitives.ReadInt64LittleEndian(option.AsSpan(20)));
        Assert.Equal(world.Samples[1].GuestBoot, BinaryPrimitives.ReadInt64LittleEndian(option.AsSpan(28)));
    }

    /// <summary>Text and .dat of one export may not differ by the last digit that is shown.</summary>
    [Fact]
    public void Other_exports_show_to_the_nanosecond_what_the_reader_makes_of_a_dat()
    {
        ClockWorld world = new(8) { Drift = 200e-6 };
        world.Record(40);
        world.RealTimeAhead -= 86_400 * Second;
        world.Record(40);
        ClockModel model = ClockModel.Of(world.Samples)!;
        ExportTimes times = ExportTimes.HostRealTime(model, (world.Truth[0].Boot, world.Truth[^1].Boot), vcpus: 2);
        Random random = new(8);
        (long Time, long Offset)[] moments = [.. times.Moments];
        for (int i = 0; i < 10_000; i++)
        {
            long time = random.NextInt64(world.Truth[0].Boot, world.Truth[^1].Boot);
            Assert.Equal(Shift(moments, time), (long)times.Stamp((ulong)time));
        }
    }

    /// <summary>The arithmetic of the reader, in 64 bits that wrap: nearest moments at or below, straight between, the outermost two beyond the ends.</summary>
    private static long Shift((long Time, long Offset)[] moments, long time)
    {
        int after = Array.FindIndex(moments, m => m.Time > time);
        int low = Math.Clamp((after < 0 ? moments.Length : after) - 1, 0, moments.Length - 2);
        ((long Time, long Offset) a, (long Time, long Offset) b) = (moments[low], moments[low + 1]);
        long delta = b.Time - a.Time;
        long product = unchecked((time - a.Time) * (b.Offset - a.Offset));
        return time + a.Offset + (product + delta / 2) / delta;
    }
}
