using System.Buffers.Binary;
using System.Text;
using VsockPair.Protocol;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>What a guest's persistent trace ring held of the boot before: stored once, bounded, and only if it is trace.</summary>
public sealed class PreviousTests : IDisposable
{
    private readonly TestStore _store = new();
    private readonly ScriptedGuestRing _ring = new(1);

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task Parts_are_closed_segments_and_are_stored_once_over_restarts()
    {
        byte[] part = _ring.TakeSubBuffers(100);
        byte[] info = Encoding.UTF8.GetBytes($"boot {Guid.NewGuid()} clock boot\n\ntext delta:\t0\n");
        InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        Welcome welcome = guest.Connect();
        Assert.Equal(CollectorCapabilities.PreviousTrace, welcome.Capabilities);
        Assert.Equal(OfferAnswer.Want, Offer(guest, "cpu1/00000000001000000000-4096.pages", part));
        Assert.Equal(OfferAnswer.Want, Offer(guest, "info", info));
        Assert.Equal(OfferAnswer.Have, Offer(guest, "cpu1/00000000001000000000-4096.pages", part));
        Assert.Equal(OfferAnswer.Refused, Offer(guest, "cpu1/00000000001000000000-4096.pages", _ring.TakeSubBuffers(1)));
        await collector.StopAsync();
        string leftOver = Path.Combine(StorePaths.PreviousVcpu(_store.Boot(guest), 1), "x.tmp");
        File.WriteAllText(leftOver, "of a collector that was killed");
        using InProcessCollector restarted = new(_store);
        guest.Connect();
        Assert.Equal(OfferAnswer.Have, Offer(guest, "cpu1/00000000001000000000-4096.pages", part));
        Assert.Equal(OfferAnswer.Have, Offer(guest, "info", info));
        Assert.Equal(OfferAnswer.Refused, Offer(guest, "info", [1]));

        StoredSegment segment = Assert.Single(StoredSegment.In(StorePaths.PreviousVcpu(_store.Boot(guest), 1)));
        segment.CheckSummary();
        Assert.Equal(part, segment.Read());
        Assert.Equal(100 * _ring.MaxEvents, segment.CountEvents());
        Assert.Equal(info, File.ReadAllBytes(Path.Combine(StorePaths.Previous(_store.Boot(guest)), "info")));
        Assert.False(File.Exists(leftOver));
    }

    [Theory]
    [InlineData("cpu4/00000000001000000000-4096.pages", 4096)]
    [InlineData("cpu0/1000000000-4096.pages", 4096)]
    [InlineData("cpu0/00000000001000000000-4096.pages.sum", 4096)]
    [InlineData("cpu0/00000000001000000000-5000.pages", 5000)]
    [InlineData("cpu0/00000000001000000000-4096.pages", 4095)]
    [InlineData("cpu0/x/00000000001000000000-4096.pages", 4096)]
    [InlineData("info/x", 10)]
    [InlineData("information", 10)]
    [InlineData("info", 65537)]
    [InlineData("cpu0/00000000001000000000-4096.pages", (32 << 20) + 4096)]
    public void Any_other_name_or_size_is_refused(string name, int bytes)
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Assert.Equal(OfferAnswer.Refused, Offer(guest, name, new byte[bytes]));
        Assert.False(Directory.Exists(StorePaths.Previous(_store.Boot(guest))));
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void What_is_no_trace_ends_the_session_and_leaves_nothing()
    {
        byte[] part = _ring.TakeSubBuffers(2);
        BinaryPrimitives.WriteUInt64LittleEndian(part.AsSpan(4096 + 8), 4081);
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Assert.Throws<InvalidOperationException>(() => Offer(guest, "cpu1/00000000001000000000-4096.pages", part));
        TestStore.Await(() => collector.Status.Guests[0].Violations.GetValueOrDefault(nameof(Sessions.Violation.BadBulkRecord)) == 1, "the violation");
        Assert.Empty(Directory.GetFiles(StorePaths.Previous(_store.Boot(guest)), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task The_oldest_boots_find_goes_when_a_newer_one_needs_the_room_and_the_ledger_says_so()
    {
        List<string> boots = [];
        ScriptedGuest last = new(_store.Socket);
        InProcessCollector collector = new(_store);
        for (int i = 0; i < GuestPrevious.MostOfGuest / GuestPrevious.MostOfBoot; i++)
        {
            last.Dispose();
            last = new(_store.Socket);
            last.Connect();
            Assert.Equal(OfferAnswer.Want, Offer(last, $"cpu1/{_ring.Clock:D20}-4096.pages", _ring.TakeSubBuffers(2)));
            boots.Add(_store.Boot(last));
        }
        await collector.StopAsync();
        for (int i = 0; i < boots.Count; i++)
        {
            // Holes count as what they are named to be.
            using FileStream file = File.Create(Path.Combine(StorePaths.PreviousVcpu(boots[i], 1), "00000000000000000001-4096.pages"));
            file.SetLength(GuestPrevious.MostOfBoot - (2 * 4096) - 4096);
            Directory.SetLastWriteTimeUtc(StorePaths.Previous(boots[i]), DateTime.UtcNow.AddHours(i - boots.Count));
        }

        using InProcessCollector restarted = new(_store);
        last.Connect();
        Assert.Equal(OfferAnswer.Refused, Offer(last, $"cpu1/{_ring.Clock:D20}-4096.pages", _ring.TakeSubBuffers(2)));
        using ScriptedGuest newest = new(_store.Socket);
        newest.Connect();
        boots.Add(_store.Boot(newest));
        Assert.Equal(OfferAnswer.Want, Offer(newest, $"cpu1/{_ring.Clock:D20}-4096.pages", _ring.TakeSubBuffers(8)));

        TestStore.Await(() => !Directory.Exists(StorePaths.Previous(boots[0])), "the oldest one's end");
        Assert.Equal([false, .. Enumerable.Repeat(true, boots.Count - 1)], boots.Select(b => Directory.Exists(StorePaths.Previous(b))));
        LossRecord line = Assert.Single(TestStore.Losses(_store.Guest));
        Assert.Equal(("retention", "previous", Path.GetFileName(boots[0]), 2 * _ring.MaxEvents), (line.Source, line.Stream, line.Boot, line.Events));
        last.Dispose();
    }

    [Fact]
    public void Readiness_is_kept_with_the_boot_and_over_a_reconnect()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        guest.Control.Send(new Readiness([new ReadinessCheck("pvpanic", CheckState.Missing, "none", "add one"), new ReadinessCheck("of a newer agent", CheckState.NotCounted, "x", "")]));
        TestStore.Await(() => _store.BootRecord(guest).Readiness?.Count == 2, "boot.json");
        guest.Connect();
        Assert.Equal([new CheckRecord("pvpanic", false, "none", "add one"), new CheckRecord("of a newer agent", null, "x", "")], _store.BootRecord(guest).Readiness!);
    }

    private static OfferAnswer Offer(ScriptedGuest guest, string name, byte[] content) => guest.OfferFile(OfferedKind.Previous, name, content);
}
