using VsockPair.HostCollector.Tests.Commands;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>The Perfetto export, read by its field numbers.</summary>
public sealed class PerfettoExportTests : IDisposable
{
    private const ulong Start = 100_000_000_000;

    private readonly SampleStore _store = new();
    private readonly SampleTrace _trace;

    public PerfettoExportTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon.AddSeconds(-100));
        _trace = new SampleTrace(_store);
        _trace.WriteMetadata();
    }

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task Has_events_names_clocks_and_the_machine()
    {
        _trace.WriteSegment(0, Start, [SampleTrace.SubBufferOf(Start, -1, 150), .. Enumerable.Range(1, 5).Select(i => SampleTrace.SubBufferOf(Start + (ulong)i * 1_000_000, 150 * i, 150))]);
        _trace.WriteSegment(5, Start, SampleTrace.SubBufferOf(Start + 1, 7, 1));
        PerfettoTrace trace = await ExportAsync();

        Assert.Equal([0, 5], trace.Events.Keys);
        Assert.Equal(900, trace.Events[0].Count);
        Assert.Equal(trace.Events[0].Select(e => e.Time).Order(), trace.Events[0].Select(e => e.Time));
        PerfettoEvent first = trace.Events[0][0];
        Assert.Equal((Start, SampleTrace.Pid, "tick"), (first.Time, first.Pid, first.Name));
        Assert.Equal(["value", "text"], first.Message.Messages(2).Select(f => f.Text(1)));
        Assert.Equal(ulong.MaxValue, first.Message.Messages(2).First().Number(4));
        Assert.Equal("abc", first.Message.Messages(2).Last().Text(3));
        Assert.Equal(Start + 1, trace.Events[5][0].Time);

        Assert.NotEqual(0u, Assert.Single(trace.Machines));
        Assert.Equal("ticker", trace.Processes[SampleTrace.Pid]);
        Assert.Equal((100_000_000_000u, (ulong)(SampleStore.Noon - DateTimeOffset.UnixEpoch).Ticks * 100), (trace.Clocks[0][6], trace.Clocks[0][1]));
        Assert.Equal(("6.12.0-amd64", "web1"), (trace.System!.Message(1).Text(3), trace.System.Text(17)));
        Assert.Empty(trace.Losses);
    }

    [Fact]
    public async Task Threads_stand_in_their_process_where_that_is_known()
    {
        _trace.WriteMetadata(new Dictionary<string, byte[]>
        {
            ["saved_cmdlines"] = "77 worker\n70 server\n90 cat\n"u8.ToArray(),
            ["thread_groups"] = "70 70 77 78\n80 80 81\n-5 91\n92 93x 94\nnonsense\n"u8.ToArray(),
        });
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        PerfettoTrace trace = await ExportAsync();
        Assert.Equal([(70, "server"), (80, ""), (90, "cat")], trace.Processes.Select(p => (p.Key, p.Value)).Order());
        Assert.Equal(
            [(70, 70, "server"), (77, 70, "worker"), (78, 70, ""), (80, 80, ""), (81, 80, ""), (90, 90, "cat")],
            trace.Threads.Select(t => (t.Key, t.Value.Process, t.Value.Name)).Order());
    }

    [Fact]
    public async Task Tells_losses_as_a_flag_and_with_their_number()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 3), SampleTrace.SubBufferOf(Start + 50_000, 3, 1));
        SampleStore.AddLosses(_store.BootFolder(SampleStore.NewBoot), new LossRecord { Time = SampleStore.Noon, Source = "transport", Stream = "cpu0", First = Start, Events = 12 });
        PerfettoTrace trace = await ExportAsync();
        Assert.Equal((0, 3), Assert.Single(trace.Losses));
        Assert.Equal(new PerfettoInstant(Start + 50_000, "lost events", "loss", "12 events lost on cpu0"), Assert.Single(trace.Instants));
    }

    /// <summary>The log's clock stands a second behind the trace clock.</summary>
    [Fact]
    public async Task Has_the_kernel_log_of_the_same_stretch()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2), SampleTrace.SubBufferOf(Start + 10_000_000_000, 2, 1));
        _store.WriteKmsg(SampleStore.NewBoot, 1, "6,1,98000000,-;too early\n3,2,99500000,-;disk \\x1b gone\n SUBSYSTEM=block\n6,3,200000000,-;too late\n");
        PerfettoTrace trace = await ExportAsync();
        ulong noon = (ulong)(SampleStore.Noon - DateTimeOffset.UnixEpoch).Ticks * 100;
        Assert.Equal((noon + 500_000_000, 7u, 6u, "disk \u001b gone"), Assert.Single(trace.Log));
        Assert.Empty(trace.Instants);

        // Log packets are on the real-time clock: without one the log has a track.
        File.Delete(StorePaths.Clock(_store.BootFolder(SampleStore.NewBoot)));
        Directory.Delete(StorePaths.Kmsg(_store.BootFolder(SampleStore.NewBoot)), recursive: true);
        Directory.CreateDirectory(StorePaths.Kmsg(_store.BootFolder(SampleStore.NewBoot)));
        _store.WriteKmsg(SampleStore.NewBoot, 4, "3,4,101000000,-;disk back\n");
        trace = await ExportAsync();
        Assert.Empty(trace.Log);
        Assert.Contains(new PerfettoInstant(101_000_000_000, "kernel log", "err", "disk back"), trace.Instants);
    }

    [Fact]
    public async Task Has_the_rings_counters_of_each_vcpu()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 3));
        SampleStore.AddLosses(_store.BootFolder(SampleStore.NewBoot), new LossRecord { Time = SampleStore.Noon, Source = "ring", Stream = "cpu2", Events = 12 });
        PerfettoTrace trace = await ExportAsync();
        Assert.Equal([(0u, 0u, 3u), (2u, 12u, 0u)], trace.Stats[2].Select(s => (s.Number(1), s.Number(3), s.Number(9))));
        Assert.Equal([(0u, 0u, 0u), (2u, 0u, 0u)], trace.Stats[1].Select(s => (s.Number(1), s.Number(3), s.Number(9))));
    }

    private async Task<PerfettoTrace> ExportAsync()
    {
        string file = Path.Combine(_store.Root, "out.pftrace");
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", file);
        Assert.True(exitCode == 0, error);
        return new PerfettoTrace(await File.ReadAllBytesAsync(file));
    }
}
