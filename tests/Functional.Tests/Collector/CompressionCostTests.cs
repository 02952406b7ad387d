using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using Xunit.Abstractions;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>Tests that measure this process, beside which no other may run.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>What compression costs those who receive. Rounds with and without it take turns, so that whatever else the machine does meets both.</summary>
[Collection(nameof(Alone))]
public sealed class CompressionCostTests(ITestOutputHelper output) : IDisposable
{
    private const int SubBufferBytes = 65536;
    private const int BytesPerSend = 16 * SubBufferBytes;
    private const int SegmentBytes = 8 << 20;
    private const int SendsPerSecond = 100;
    private const int MostAgain = 20;

    /// <summary>A receiver that compressed what it receives would bear all of it; caches and memory that are shared with the compressor cost a little.</summary>
    private const double MostBorne = 0.25;

    private readonly TestStore _store = new();

    [Fact]
    [Trait("Category", "Slow")]
    public async Task The_cpu_time_of_receiving_is_the_same_while_segments_are_compressed()
    {
        int rounds = Soak.Choose(3, 10);
        List<double> with = [];
        List<double> without = [];
        List<double> compressionCosts = [];
        for (int round = 0; round < rounds; round++)
        {
            foreach (bool compresses in round % 2 == 0 ? new[] { true, false } : [false, true])
            {
                (double cost, double compressing, int compressed) = await RoundAsync(compresses);
                for (int again = 0; compresses && compressed == 0 && again < MostAgain; again++)
                {
                    // Nobody left it a CPU: such a round says nothing.
                    (cost, compressing, compressed) = await RoundAsync(compresses);
                }
                output.WriteLine($"{(compresses ? "with" : "without")} compression: {cost:F3} CPU-seconds per GB received; {compressed} segments compressed at {compressing:F3}");
                Assert.True(compressed > 0 == compresses, $"{compressed} segments were compressed");
                (compresses ? with : without).Add(cost);
                if (compresses)
                {
                    compressionCosts.Add(compressing);
                }
            }
        }
        with.Sort();
        without.Sort();
        compressionCosts.Sort();
        output.WriteLine($"median with {Median(with):F3}, without {Median(without):F3}; without ranges from {without[0]:F3} to {without[^1]:F3}; compression {Median(compressionCosts):F3} per GB compressed");
        Assert.InRange(Median(with), 0, Median(without) + MostBorne * Median(compressionCosts));
    }

    public void Dispose() => _store.Dispose();

    private async Task<(double CpuPerGB, double CpuPerCompressedGB, int Compressed)> RoundAsync(bool compresses)
    {
        CompressionTimes times = compresses
            ? new CompressionTimes { After = TimeSpan.Zero, Every = TimeSpan.FromMilliseconds(50) }
            : new CompressionTimes { After = TimeSpan.FromDays(1) };
        ScriptedGuestRing ring = new(0, SubBufferBytes);
        byte[] bytes = ring.TakeSubBuffers(BytesPerSend / SubBufferBytes);
        using ScriptedGuest guest = new(_store.Socket);
        InProcessCollector collector = new(_store, o => o with { Store = o.Store with { SegmentBytes = SegmentBytes } }, compression: times);
        guest.Connect();
        using ScriptedGuestLink bulk = guest.OpenBulk(ring);
        double before = OwnThreads.CpuSeconds("bulk");
        double compressionBefore = OwnThreads.CpuSeconds("compress");
        int sends = Soak.Choose(2, 10) * SendsPerSecond;
        long start = Environment.TickCount64;
        for (int i = 0; i < sends; i++)
        {
            bulk.SendBytes(bytes);
            // A steady rate that leaves the compressor something of a CPU.
            await Task.Delay((int)Math.Max(0, start + (i + 1) * 1000 / SendsPerSecond - Environment.TickCount64));
        }
        string boot = _store.Boot(guest);
        TestStore.Await(() => collector.Status.Guests[0].Boots[0].Streams[0].StoredEvents == ring.ReadEvents * (ulong)sends, "all is stored");
        double cost = OwnThreads.CpuSeconds("bulk") - before;
        double compression = OwnThreads.CpuSeconds("compress") - compressionBefore;
        int compressed = StoredSegment.In(StorePaths.Vcpu(boot, 0)).Count(s => s.IsCompressed);
        bulk.ShutDown();
        bulk.AwaitClosed();
        await collector.StopAsync();
        Directory.Delete(boot, recursive: true);
        return (cost / ((double)sends * BytesPerSend / 1e9), compression / (Math.Max(1.0, compressed) * SegmentBytes / 1e9), compressed);
    }

    private static double Median(List<double> sorted) => sorted[sorted.Count / 2];
}
