using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class StreamAccountTests
{
    private static readonly Guid Ring = Guid.NewGuid();

    [Fact]
    public void Declares_what_was_read_and_never_arrived_once()
    {
        StreamAccount account = Begun();
        account.AddStored(70);
        Assert.True(account.Hear(Ring, 100, 0));
        Assert.Equal(30ul, account.SettleTransport());
        Assert.Equal(0ul, account.SettleTransport());
        Assert.Equal(100ul, account.Stored + account.TransportLost);
    }

    [Fact]
    public void Declares_ring_loss_as_the_counters_grow()
    {
        StreamAccount account = Begun();
        account.Hear(Ring, 0, 5);
        Assert.Equal(5ul, account.SettleRing());
        account.Hear(Ring, 0, 12);
        Assert.Equal(7ul, account.SettleRing());
        Assert.Equal(12ul, account.RingLost);
    }

    [Fact]
    public void Comes_out_the_same_when_it_is_derived_from_files_again()
    {
        StreamAccount before = Begun();
        before.AddStored(40);
        before.Hear(Ring, 50, 3);
        before.SettleTransport();
        before.SettleRing();
        before.AddStored(20);
        StreamAccount after = new(before.Ring, before.Stored, before.TransportLost, before.RingLost);
        after.Hear(Ring, 75, 4);
        Assert.Equal(5ul, after.SettleTransport());
        Assert.Equal(1ul, after.SettleRing());
    }

    [Fact]
    public void Counts_a_new_generation_from_where_the_older_one_ended()
    {
        StreamAccount account = Begun();
        account.AddStored(90);
        account.Hear(Ring, 100, 8);
        account.SettleTransport();
        account.SettleRing();
        Guid next = Guid.NewGuid();
        RingRecord ring = account.Begin(next, 4096);
        Assert.Equal((100ul, 8ul), (ring.ReadEventsBefore, ring.LostEventsBefore));
        account.AddStored(10);
        account.Hear(next, 12, 1);
        Assert.Equal(2ul, account.SettleTransport());
        Assert.Equal(1ul, account.SettleRing());
    }

    [Fact]
    public void Leaves_out_counters_that_say_nothing()
    {
        StreamAccount account = Begun();
        account.Hear(Ring, 10, 10);
        Assert.False(account.Hear(Guid.NewGuid(), 1000, 1000));
        Assert.False(account.Hear(Ring, 9, 10));
        Assert.False(account.Hear(Ring, 10, 9));
        Assert.False(account.Hear(Ring, ulong.MaxValue, 10));
        Assert.Equal(10ul, account.SettleTransport());
    }

    [Fact]
    public void Sees_that_more_is_stored_than_was_read()
    {
        StreamAccount account = Begun();
        account.AddStored(11);
        account.Hear(Ring, 10, 0);
        Assert.True(account.IsSurplus);
        Assert.Equal(0ul, account.SettleTransport());
    }

    private static StreamAccount Begun()
    {
        StreamAccount account = new(ring: null, stored: 0, transportLost: 0, ringLost: 0);
        account.Begin(Ring, 4096);
        return account;
    }
}
