using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>What goes wrong for one guest is that guest's alone.</summary>
public sealed class IsolationTests : IDisposable
{
    private const string OtherName = "web2";

    private readonly TestStore _store = new();

    private string OtherSocket => Path.Combine(_store.Root, "other.sock");

    [Fact]
    public void A_guest_whose_folder_is_gone_holds_up_no_other()
    {
        using InProcessCollector collector = Start(o => o with { Store = o.Store with { SegmentBytes = 256 << 10 } });
        using ScriptedGuest broken = new(_store.Socket);
        using ScriptedGuest whole = new(OtherSocket + "_829");
        broken.Connect();
        whole.Connect();
        ScriptedGuestRing brokenRing = new(0);
        ScriptedGuestRing wholeRing = new(0);
        using ScriptedGuestLink brokenBulk = broken.OpenBulk(brokenRing);
        using ScriptedGuestLink wholeBulk = whole.OpenBulk(wholeRing);
        brokenBulk.SendBytes(brokenRing.TakeSubBuffers(8));
        string folder = _store.Boot(broken);
        TestStore.Await(() => TestStore.StoredEvents(folder, 0) == (long)brokenRing.ReadEvents, "the first part is stored");
        Directory.Delete(folder, recursive: true);
        // More than its segment has room for: the next one has no folder.
        brokenBulk.SendBytes(brokenRing.TakeSubBuffers(100));

        string boot = StorePaths.Boot(StorePaths.Guest(_store.Folder, OtherName), whole.BootId, 0);
        for (int round = 0; round < 20; round++)
        {
            wholeBulk.SendBytes(wholeRing.TakeSubBuffers(32));
            TestStore.Await(() => Stored(collector, OtherName) == wholeRing.ReadEvents, "the other guest's stream is stored at once", seconds: 1);
            Assert.False(collector.Status.DiskFull);
        }
        wholeBulk.ShutDown();
        wholeBulk.AwaitClosed();
        whole.Stop(wholeRing);
        TestStore.Await(() => !collector.Status.Guests.Single(g => g.Name == OtherName).Boots.Any(b => b.ConnectedSince is not null), "its session has ended");
        Assert.Equal((long)wholeRing.ReadEvents, TestStore.StoredEvents(boot, 0));
        Assert.Empty(TestStore.Losses(boot));
    }

    public void Dispose() => _store.Dispose();

    private InProcessCollector Start(Func<CollectorOptions, CollectorOptions> change) =>
        new(_store, o => change(o with { Listen = o.Listen with { Specs = [new HybridListen(OtherSocket, OtherName), .. o.Listen.Specs] } }));

    private static ulong Stored(InProcessCollector collector, string guest) =>
        collector.Status.Guests.Single(g => g.Name == guest).Boots.SelectMany(b => b.Streams).Aggregate(0ul, (sum, s) => sum + s.StoredEvents);
}
