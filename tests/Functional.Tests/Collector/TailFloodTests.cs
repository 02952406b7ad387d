using System.Diagnostics;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>Tails cost the host far more than their bytes on the wire: each takes a slot.</summary>
public sealed class TailFloodTests : IDisposable
{
    private const int SubBufferBytes = 512 << 10;
    private const long Rate = 1 << 20;

    /// <summary>What one call of the loop may charge before the budget is asked again (VcpuStream.MostChargedAtOnce).</summary>
    private const long Overdraft = 1 << 20;

    private readonly TestStore _store = new();

    [Fact]
    public async Task A_flood_of_tiny_tails_costs_its_guests_budget_what_it_costs_the_host()
    {
        InProcessCollector collector = new(_store, o => o with { Limits = o.Limits with { GuestRate = Rate } });
        using ScriptedGuest guest = new(_store.Socket);
        long start = Stopwatch.GetTimestamp();
        guest.Connect();
        ScriptedGuestRing ring = new(0, SubBufferBytes);
        ScriptedGuestLink bulk = guest.OpenBulk(ring);
        byte[] tails = [.. Enumerable.Range(0, 400).SelectMany(_ => ring.TakeTail(1))];
        Task flood = Task.Run(() => bulk.TrySendBytes(tails));
        TestStore.Await(() => collector.Status.Guests[0].OverBudget, "the budget is spent");
        await Task.Delay(1000);
        // 4 s of the rate in hand, the time that passed, and one call's overdraft, each 16 times over in slots: half of the flood.
        long stored = TestStore.SegmentBytes(_store.Boot(guest), 0);
        Assert.InRange(stored, 1, 16 * (long)((4 + Stopwatch.GetElapsedTime(start).TotalSeconds) * Rate + Overdraft));
        bulk.Dispose();
        await flood;
        await collector.StopAsync();
        TestStore.AssertClosed(_store.Boot(guest));
    }

    [Fact]
    public async Task Tails_that_say_nothing_are_not_stored_and_the_account_stays_exact()
    {
        InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing ring = new(0, SubBufferBytes);
        using ScriptedGuestLink bulk = guest.OpenBulk(ring);
        bulk.SendBytes([.. Enumerable.Range(0, 300).SelectMany(_ => ring.TakeTail(0))]);
        bulk.SendBytes(ring.TakeTail(3));
        bulk.ShutDown();
        bulk.AwaitClosed();
        _store.Stop(guest, ring);
        await collector.StopAsync();
        string boot = _store.Boot(guest);
        Assert.Equal(SubBufferBytes, TestStore.SegmentBytes(boot, 0));
        _store.AssertExact(boot, ring);
        Assert.Empty(TestStore.Losses(boot));
    }

    public void Dispose() => _store.Dispose();
}
