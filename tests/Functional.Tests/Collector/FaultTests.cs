using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>A bulk loop that dies would look like quiet guests: the collector ends instead, and says so, whatever its other parts do.</summary>
public sealed class FaultTests : IDisposable
{
    private readonly TestStore _store = new();
    private readonly ScriptedGuestRing _ring = new(0);
    private readonly ScriptedGuest _guest;

    public FaultTests() => _guest = new ScriptedGuest(_store.Socket);

    [Fact]
    public void A_bulk_loop_that_dies_ends_the_collector_with_every_file_closed()
    {
        using CollectorProcess collector = KillLoop(hangs: false);
        Assert.Equal(1, collector.AwaitExit());
        Assert.Contains("bulk0 failed; the service ends", collector.Output, StringComparison.Ordinal);
        string boot = _store.Boot(_guest);
        TestStore.AssertClosed(boot);
        Assert.Equal((long)_ring.ReadEvents, TestStore.StoredEvents(boot, 0));
    }

    [Fact]
    public void A_part_that_never_stops_does_not_keep_a_failed_collector_from_ending()
    {
        using CollectorProcess collector = KillLoop(hangs: true);
        Assert.Equal(1, collector.AwaitExit());
    }

    public void Dispose()
    {
        _guest.Dispose();
        _store.Dispose();
    }

    /// <summary>The connections of the loop end with it.</summary>
    private CollectorProcess KillLoop(bool hangs)
    {
        CollectorProcess collector = DyingCollector.Start(_store, hangs);
        _guest.ConnectPatiently();
        using ScriptedGuestLink bulk = _guest.OpenBulk(_ring);
        bulk.SendBytes(_ring.TakeSubBuffers(20));
        TestStore.Await(() => TestStore.SegmentBytes(_store.Boot(_guest), 0) == 20 * 4096, "what came before is stored");
        File.WriteAllText(Path.Combine(_store.Root, DyingCollector.Trigger), "");
        bulk.AwaitClosed();
        return collector;
    }
}
