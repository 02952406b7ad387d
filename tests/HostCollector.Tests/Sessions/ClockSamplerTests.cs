using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Sessions;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Sessions;

/// <summary>When the guest's clocks are looked at, and how often that wakes it.</summary>
public sealed class ClockSamplerTests
{
    private const long Interval = 10_000;
    private const int TicksPerSecond = 10;

    private readonly ClockSampler _sampler = new(TimeSpan.FromMilliseconds(Interval), now: 0);
    private readonly List<long> _bursts = [];
    private int _pings;
    private long _guestAhead;

    [Fact]
    public void A_session_begins_with_four_bursts_a_second_apart_and_goes_on_at_the_interval()
    {
        Run(0, 60_000);
        Assert.Equal([0, 1000, 2000, 3000, 13_000, 23_000, 33_000, 43_000, 53_000], _bursts);
    }

    [Fact]
    public void A_jump_is_looked_at_closely_once_a_minute_at_most()
    {
        Run(0, 100_000);
        _bursts.Clear();
        _guestAhead = -5_000_000_000;
        Run(100_000, 160_000);
        Assert.Equal([103_000, 104_000, 105_000, 106_000, 107_000], _bursts.Take(5));
        Assert.Equal(117_000, _bursts[5]);
        // This guest's clock makes no sense at all.
        _bursts.Clear();
        for (int i = 0; i < 30; i++)
        {
            _guestAhead = i * 100_000_000_000;
            Run(160_000 + i * Interval, 160_000 + (i + 1) * Interval);
        }
        Assert.InRange(_bursts.Count, 30, 30 + 4 * 6);
    }

    [Fact]
    public void Quiet_paths_take_fewer_pings_than_a_burst_may_have()
    {
        Run(0, 40_000);
        _pings = 0;
        _bursts.Clear();
        Run(40_000, 40_000 + 100 * Interval);
        Assert.InRange(_pings, 2 * _bursts.Count, 7 * _bursts.Count);
    }

    [Fact]
    public void Only_the_first_ping_of_a_burst_asks_for_the_local_clock_and_its_answer_is_kept()
    {
        ClockSample? sample = null;
        Ping? ping = _sampler.Due(0);
        Assert.True(ping!.Value.WithLocalClock);
        for (int i = 0; sample is null; i++)
        {
            Pong pong = new(ping!.Value.Number, 100 + i, 0, i == 0 ? 7 : null, i == 0 ? 8 : null, i == 0 ? 9 : null);
            Assert.True(_sampler.Take(pong, default, 0, out ping, out sample));
            Assert.NotEqual(true, ping?.WithLocalClock);
        }
        Assert.Equal((7, 8, 9), (sample.GuestLocal, sample.GuestLocalAtBoot, sample.GuestLocalError));
        Assert.True(sample.Error > 0);
    }

    [Fact]
    public void A_pong_that_nobody_asked_for_is_told()
    {
        Assert.False(_sampler.Take(new Pong(1, 0, 0, null, null, null), default, 0, out _, out _));
        Ping ping = _sampler.Due(0)!.Value;
        Assert.False(_sampler.Take(new Pong(ping.Number + 1, 0, 0, null, null, null), default, 0, out _, out _));
        Assert.True(_sampler.Take(new Pong(ping.Number, 0, 0, null, null, null), default, 0, out _, out _));
        Assert.False(_sampler.Take(new Pong(ping.Number, 0, 0, null, null, null), default, 0, out _, out _));
    }

    [Fact]
    public void A_guest_that_stands_still_is_not_asked_again_and_its_late_answer_is_taken()
    {
        Ping ping = _sampler.Due(0)!.Value;
        for (long now = 0; now < 14_000; now += 1000)
        {
            Assert.Null(_sampler.Due(now));
        }
        Assert.True(_sampler.Take(new Pong(ping.Number, 0, 0, null, null, null), default, 14_000, out Ping? next, out _));
        Assert.NotNull(next);
    }

    /// <summary>A guest whose clock is the host's, further on by <see cref="_guestAhead"/>; schedule time is made up, clocks are real.</summary>
    private void Run(long from, long to)
    {
        for (long now = from; now < to; now += 1000 / TicksPerSecond)
        {
            Ping? ping = _sampler.Due(now);
            if (ping is not null)
            {
                _bursts.Add(now);
            }
            while (ping is Ping sent)
            {
                _pings++;
                Pong pong = new(sent.Number, Sys.Now(Constants.CLOCK_MONOTONIC) + 1_000_000_000_000 + _guestAhead, 0, null, null, null);
                Assert.True(_sampler.Take(pong, default, now, out ping, out _));
            }
        }
    }
}
