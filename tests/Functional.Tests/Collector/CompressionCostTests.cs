using System.Globalization;
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
    private const int SendsPerSecond = 100;
    private const int MostAgain = 20;
    private const int ClockTicksPerSecond = 100; // sysconf(_SC_CLK_TCK), the same on every Linux.

    private readonly TestStore _store = new();

    [Fact]
    [Trait("Category", "Slow")]
    public async Task The_cpu_time_of_receiving_is_the_same_while_segments_are_compressed()
    {
        int rounds = Soak.Choose(3, 10);
        List<double> with = [];
        List<double> without = [];
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
                output.WriteLine($"{(compresses ? "with" : "without")} compression: {cost:F3} CPU-seconds per GB received; compression took {compressing:F2} s, {compressed} segments");
                Assert.True(compressed > 0 == compresses, $"{compressed} segments were compressed");
                (compresses ? with : without).Add(cost);
            }
        }
        with.Sort();
        without.Sort();
        output.WriteLine($"median with {Median(with):F3}, without {Median(without):F3}; without ranges from {without[0]:F3} to {without[^1]:F3}");
        // Within noise: the spread of the rounds without it, or a quarter where they happen to agree.
        Assert.InRange(Median(with), 0, Math.Max(without[^1], 1.25 * Median(without)));
    }

    public void Dispose() => _store.Dispose();

    private async Task<(double CpuPerGB, double CompressionCpu, int Compressed)> RoundAsync(bool compresses)
    {
        CompressionTimes times = compresses
            ? new CompressionTimes { After = TimeSpan.Zero, Every = TimeSpan.FromMilliseconds(50) }
            : new CompressionTimes { After = TimeSpan.FromDays(1) };
        ScriptedGuestRing ring = new(0, SubBufferBytes);
        byte[] bytes = ring.TakeSubBuffers(BytesPerSend / SubBufferBytes);
        using ScriptedGuest guest = new(_store.Socket);
        InProcessCollector collector = new(_store, o => o with { Store = o.Store with { SegmentBytes = 8 << 20 } }, compression: times);
        guest.Connect();
        using ScriptedGuestLink bulk = guest.OpenBulk(ring);
        double before = CpuSeconds("bulk");
        double compressionBefore = CpuSeconds("compress");
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
        double cost = CpuSeconds("bulk") - before;
        double compression = CpuSeconds("compress") - compressionBefore;
        int compressed = StoredSegment.In(StorePaths.Vcpu(boot, 0)).Count(s => s.IsCompressed);
        bulk.ShutDown();
        bulk.AwaitClosed();
        await collector.StopAsync();
        Directory.Delete(boot, recursive: true);
        return (cost / ((double)sends * BytesPerSend / 1e9), compression, compressed);
    }

    private static double Median(List<double> sorted) => sorted[sorted.Count / 2];

    /// <summary>utime and stime of this process's threads of that name (proc_pid_stat(5)), those that have ended not counted.</summary>
    private static double CpuSeconds(string thread)
    {
        double seconds = 0;
        foreach (string task in Directory.GetDirectories("/proc/self/task"))
        {
            string stat = File.ReadAllText(Path.Combine(task, "stat"));
            int end = stat.LastIndexOf(')');
            if (stat[(stat.IndexOf('(', StringComparison.Ordinal) + 1)..end].StartsWith(thread, StringComparison.Ordinal))
            {
                string[] fields = stat[(end + 2)..].Split(' ');
                seconds += (double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture)) / ClockTicksPerSecond;
            }
        }
        return seconds;
    }
}
