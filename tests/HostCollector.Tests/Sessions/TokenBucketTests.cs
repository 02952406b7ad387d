using VsockPair.Sessions;

namespace VsockPair.HostCollector.Tests.Sessions;

public sealed class TokenBucketTests
{
    [Fact]
    public void Allows_the_burst_then_the_rate()
    {
        SteppedClock clock = new();
        TokenBucket bucket = new(100, clock);
        bucket.Take(399);
        Assert.True(bucket.HasRoom);
        bucket.Take(51);
        Assert.False(bucket.HasRoom);
        clock.Advance(TimeSpan.FromSeconds(0.4));
        Assert.False(bucket.HasRoom);
        clock.Advance(TimeSpan.FromSeconds(0.2));
        Assert.True(bucket.HasRoom);
        clock.Advance(TimeSpan.FromDays(1));
        Assert.True(bucket.HasRoom);
        bucket.Take(400);
        Assert.False(bucket.HasRoom);
    }

    [Fact]
    public void Forgets_what_is_overdrawn_beyond_its_depth()
    {
        SteppedClock clock = new();
        TokenBucket bucket = new(100, clock, deepestSeconds: 1);
        bucket.Take(1_000_000);
        clock.Advance(TimeSpan.FromSeconds(0.9));
        Assert.False(bucket.HasRoom);
        clock.Advance(TimeSpan.FromSeconds(0.2));
        Assert.True(bucket.HasRoom);
    }
}
