using Microsoft.Win32.SafeHandles;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using Xunit.Abstractions;

namespace VsockPair.Functional.Tests.Collector;

public sealed class CompressionTests(ITestOutputHelper output) : IDisposable
{
    private const int SegmentBytes = 1 << 20;
    private const int MostRounds = 1000;

    /// <summary>On a busy machine a thread of idle priority gets hardly a hundredth of a CPU.</summary>
    private const int CompressedWithin = 300;

    private static readonly CompressionTimes Soon = new() { After = TimeSpan.FromMilliseconds(300), Every = TimeSpan.FromMilliseconds(100), RetryAfter = TimeSpan.FromSeconds(1) };

    private readonly TestStore _store = new();

    [Fact]
    public async Task Closed_segments_of_a_running_collector_are_compressed_and_one_that_is_being_read_can_be_read_to_its_end()
    {
        InProcessCollector collector = new(_store, o => o with { Store = o.Store with { SegmentBytes = SegmentBytes } }, compression: Soon);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing ring = new(0, 65536);
        using ScriptedGuestLink bulk = guest.OpenBulk(ring);
        string boot = _store.Boot(guest);
        for (int i = 0; i < 40; i++)
        {
            bulk.SendBytes(ring.TakeSubBuffer());
            bulk.SendBytes(ring.TakeTail(3));
        }
        TestStore.Await(() => TestStore.Segments(boot, 0).Count > 0, "a segment");
        using SafeFileHandle open = File.OpenHandle(TestStore.Segments(boot, 0)[0], FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        // Five segments of 16 slots; the last one is open until the stream ends.
        TestStore.Await(() => TestStore.AllSegments(boot).Count(s => s.IsCompressed) >= 4, "four closed segments are compressed", seconds: CompressedWithin);
        byte[] first = new byte[SegmentBytes];
        Assert.Equal(SegmentBytes, RandomAccess.Read(open, first, 0));
        Assert.Equal(first, TestStore.AllSegments(boot)[0].Read());
        bulk.ShutDown();
        bulk.AwaitClosed();
        guest.Stop(ring);
        await collector.StopAsync();

        TestStore.AssertClosed(boot);
        _store.AssertExact(boot, ring);
        Assert.Equal(0, TestStore.Lost(boot, 0, "transport"));
        Assert.Empty(Directory.GetFiles(boot, "*.tmp", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task What_is_left_uncompressed_by_one_collector_the_next_one_compresses()
    {
        using ScriptedGuest guest = new(_store.Socket);
        ScriptedGuestRing ring = new(0, 65536);
        string boot = _store.Boot(guest);
        using (InProcessCollector collector = new(_store))
        {
            guest.Connect();
            using ScriptedGuestLink bulk = guest.OpenBulk(ring);
            bulk.SendBytes(ring.TakeSubBuffers(4));
            bulk.ShutDown();
            bulk.AwaitClosed();
            guest.Stop(ring);
            await collector.StopAsync();
        }
        Assert.False(Assert.Single(TestStore.AllSegments(boot)).IsCompressed);
        using (InProcessCollector collector = new(_store, compression: Soon))
        {
            TestStore.Await(() => TestStore.AllSegments(boot)[0].IsCompressed, "the segment is compressed", seconds: CompressedWithin);
        }
        TestStore.AssertClosed(boot);
        _store.AssertExact(boot, ring);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_collector_that_is_killed_while_it_compresses_loses_nothing()
    {
        using ScriptedGuest guest = new(_store.Socket);
        ScriptedGuestRing[] rings = [new(0, 65536), new(1, 4096)];
        string boot = _store.Boot(guest);
        HashSet<string> checkedCompressed = [];
        Random random = new(3);
        int caughtAtWork = 0;
        // TraceQuota makes retention remove while the compressor works.
        const string configuration = "[Store]\nSegmentBytes=2M\nTraceQuota=24M\n";
        // On a machine that is busy with other things a compressor of idle priority gets little done until it is killed: then there are more rounds.
        int rounds = 0;
        for (; rounds < Soak.Choose(8, 200) || ((checkedCompressed.Count < 10 || caughtAtWork == 0) && rounds < MostRounds); rounds++)
        {
            using (CollectorProcess collector = new(_store, configuration))
            {
                guest.ConnectPatiently();
                ScriptedGuestLink[] links = [.. rings.Select(guest.OpenBulk)];
                for (int i = 0; i < 4; i++)
                {
                    _ = links[0].TrySendBytes(rings[0].TakeSubBuffers(32)) && links[1].TrySendBytes(rings[1].TakeSubBuffers(128));
                }
                await Task.Delay(random.Next(0, 400 + 20 * Math.Min(rounds, 50)));
                collector.Kill();
                Array.ForEach(links, l => l.Dispose());
            }
            string[] files = Directory.GetFiles(boot, "*.pages*", SearchOption.AllDirectories);
            caughtAtWork += files.Count(f => f.EndsWith(".tmp", StringComparison.Ordinal)) + files.Count(f => f.EndsWith(".zst", StringComparison.Ordinal) && File.Exists(f[..^4]));
            // As if they had been closed a while ago: the next collector compresses them at once.
            foreach (string sum in files.Where(f => f.EndsWith(".sum", StringComparison.Ordinal)))
            {
                StoredSegment segment = new(sum[..^4]);
                if (!File.Exists(segment.Path) && !File.Exists(segment.CompressedPath))
                {
                    // Killed between two unlinks of retention, which has declared it before.
                    Assert.Contains(Path.GetFileName(segment.Path), File.ReadAllText(StorePaths.Losses(_store.Guest)), StringComparison.Ordinal);
                    continue;
                }
                // A compressed one is not touched any more.
                if (!segment.IsCompressed || checkedCompressed.Add(segment.Path))
                {
                    segment.CheckSummary();
                }
                File.SetLastWriteTimeUtc(sum, DateTime.UtcNow.AddMinutes(-5));
            }
        }
        using CollectorProcess last = new(_store, configuration);
        guest.ConnectPatiently();
        foreach (ScriptedGuestRing ring in rings)
        {
            using ScriptedGuestLink bulk = guest.OpenBulk(ring);
            bulk.SendBytes(ring.TakeTail(1));
            bulk.ShutDown();
            bulk.AwaitClosed();
        }
        guest.Stop(rings);
        // The tail's segment is young; retention may have removed all others.
        TestStore.Await(() => TestStore.AllSegments(boot).Count(s => !s.IsCompressed) <= 4 * rings.Length, "all old segments are compressed", seconds: CompressedWithin);
        Assert.Equal(0, last.Terminate());
        output.WriteLine($"{rounds} kills, {checkedCompressed.Count} segments compressed meanwhile, the compressor was at work at {caughtAtWork}");
        Assert.True(checkedCompressed.Count >= 10, $"the killed collectors have compressed only {checkedCompressed.Count} segments");
        Assert.True(caughtAtWork > 0, "no kill has met the compressor at work");
        TestStore.AssertClosed(boot);
        foreach (ScriptedGuestRing ring in rings)
        {
            _store.AssertExact(boot, ring);
            Assert.True(_store.Removed(boot, ring.Cpu) > 0, "retention had nothing to remove");
        }
        Assert.Empty(Directory.GetFiles(boot, "*.tmp", SearchOption.AllDirectories));
    }

    public void Dispose() => _store.Dispose();
}
