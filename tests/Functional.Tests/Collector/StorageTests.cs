using System.Diagnostics;
using VsockPair.Options;
using VsockPair.Protocol;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

public sealed class StorageTests : IDisposable
{
    private const int SegmentBytes = 64 << 10;

    private readonly TestStore _store = new();

    [Fact]
    public async Task Segments_rotate_by_size_and_by_age()
    {
        // Far longer than the 160 KiB take to arrive.
        TimeSpan age = TimeSpan.FromSeconds(5);
        InProcessCollector collector = new(_store, o => o with { Store = o.Store with { SegmentBytes = SegmentBytes, SegmentAge = age } });
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing ring = new(0);
        using ScriptedGuestLink bulk = guest.OpenBulk(ring);
        bulk.SendBytes(ring.TakeSubBuffers(40));
        string boot = _store.Boot(guest);
        // 16 slots of 4 KiB in each of the first two; the third, of 8, only its age closes.
        TestStore.Await(() => TestStore.Segments(boot, 0).Count == 3 && File.Exists(TestStore.Segments(boot, 0)[2] + ".sum"), "the third segment is closed for its age");
        Assert.Equal([SegmentBytes, SegmentBytes, SegmentBytes / 2], TestStore.Segments(boot, 0).Select(s => (int)new FileInfo(s).Length));
        bulk.ShutDown();
        bulk.AwaitClosed();
        _store.Stop(guest, ring);
        await collector.StopAsync();
        TestStore.AssertClosed(boot);
        _store.AssertExact(boot, ring);
    }

    [Fact]
    public async Task Retention_keeps_each_quota_and_its_ledger_makes_the_account_exact_also_after_a_restart()
    {
        const long quota = 512 << 10;
        Func<CollectorOptions, CollectorOptions> options = o => o with { Store = o.Store with { SegmentBytes = SegmentBytes, TraceQuota = quota, KmsgQuota = quota } };
        using ScriptedGuest guest = new(_store.Socket);
        ScriptedGuestRing ring = new(0);
        string boot = _store.Boot(guest);
        for (int start = 0; start < 2; start++)
        {
            InProcessCollector collector = new(_store, options);
            guest.Connect();
            using ScriptedGuestLink kmsg = guest.OpenKmsg(out ulong next);
            ScriptedGuest.SendKmsg(kmsg, ScriptedGuest.KmsgRecord(next, "never evicted by trace"));
            kmsg.Receive<KmsgAck>();
            using ScriptedGuestLink bulk = guest.OpenBulk(ring);
            bulk.SendBytes(ring.TakeSubBuffers(500));
            TestStore.Await(() => TestStore.SegmentBytes(boot, 0) <= quota + SegmentBytes && _store.Removed(boot, 0) > 0, "the quota holds");
            bulk.ShutDown();
            bulk.AwaitClosed();
            guest.SendCounters(ring, final: true);
            await collector.StopAsync();
            _store.AssertExact(boot, ring);
            Assert.Equal(0, TestStore.Lost(boot, 0, "transport"));
        }
        Assert.Equal(2, TestStore.Kmsg(boot).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.All(TestStore.Losses(_store.Guest), l => Assert.Equal(("retention", "cpu0", Path.GetFileName(boot)), (l.Source, l.Stream, l.Boot)));
    }

    [Fact]
    public async Task Gaps_of_the_kernel_log_are_in_the_ledger_and_a_restart_goes_on_behind_the_last_record()
    {
        using ScriptedGuest guest = new(_store.Socket);
        InProcessCollector collector = new(_store);
        guest.Connect();
        using (ScriptedGuestLink kmsg = guest.OpenKmsg(out ulong next))
        {
            Assert.Equal(0ul, next);
            ScriptedGuest.SendKmsg(kmsg, ScriptedGuest.KmsgRecord(3, "three") + ScriptedGuest.KmsgRecord(4, "four") + ScriptedGuest.KmsgRecord(9, "nine"));
            Assert.Equal(9ul, kmsg.Receive<KmsgAck>().Sequence);
        }
        await collector.StopAsync();
        collector = new(_store);
        guest.Connect();
        using (ScriptedGuestLink kmsg = guest.OpenKmsg(out ulong next))
        {
            Assert.Equal(10ul, next);
            ScriptedGuest.SendKmsg(kmsg, ScriptedGuest.KmsgRecord(12, "twelve"));
            Assert.Equal(12ul, kmsg.Receive<KmsgAck>().Sequence);
        }
        await collector.StopAsync();
        string boot = _store.Boot(guest);
        Assert.Equal([(0ul, 2ul, 3L), (5, 8, 4), (10, 11, 2)], TestStore.Losses(boot).Where(l => l.Source == "kmsg").Select(l => (l.First!.Value, l.Last!.Value, l.Records!.Value)));
        Assert.Equal(["three", "four", "nine", "twelve"], TestStore.Kmsg(boot).TrimEnd('\n').Split('\n').Select(l => l.Split(';')[1]));
        TestStore.AssertClosed(boot);
    }

    [Fact]
    public async Task Over_budget_a_guests_stream_is_read_at_its_rate_and_its_kernel_log_is_not_held_up()
    {
        const int rate = 1 << 20;
        long start = Stopwatch.GetTimestamp();
        using InProcessCollector collector = new(_store, o => o with { Limits = o.Limits with { GuestRate = rate } });
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing ring = new(0, 65536);
        using ScriptedGuestLink bulk = guest.OpenBulk(ring);
        using ScriptedGuestLink kmsg = guest.OpenKmsg(out _);
        using CancellationTokenSource stop = new();
        Task flood = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested && bulk.TrySendBytes(ring.TakeSubBuffers(4)))
            {
            }
        });
        TestStore.Await(() => collector.Status.Guests[0].OverBudget, "the budget is spent");
        long Stored() => TestStore.SegmentBytes(_store.Boot(guest), 0);
        long before = Stored();
        for (ulong i = 0; i < 20; i++)
        {
            ScriptedGuest.SendKmsg(kmsg, ScriptedGuest.KmsgRecord(i, "in time"));
            kmsg.Receive<KmsgAck>();
            Thread.Sleep(50);
        }
        // In the second and more that these took something was read, and in all no more than 4 s of the rate in hand, the time that passed, and one overdrawn read.
        long after = Stored();
        Assert.InRange(after - before, 100 << 10, long.MaxValue);
        Assert.InRange(after, 0, (long)((4 + Stopwatch.GetElapsedTime(start).TotalSeconds) * rate) + (1 << 20));
        await stop.CancelAsync();
        bulk.Dispose();
        await flood;
    }

    [Fact]
    public void Two_collectors_never_share_a_store()
    {
        using InProcessCollector collector = new(_store);
        InProcessCollector second = new(_store);
        TestStore.Await(() => second.Run.IsCompleted, "the second gives up");
        Assert.True(File.Exists(_store.Socket));
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
    }

    public void Dispose() => _store.Dispose();
}
