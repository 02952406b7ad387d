using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VsockPair.Sessions;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class CompressorTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(500);

    private readonly StoreFixture _fixture = new();
    private readonly DiskState _disk = new();
    private readonly KeepingLog _log = new();

    private CompressionTimes Times { get; init; } = new() { After = TimeSpan.Zero, Every = TimeSpan.FromMilliseconds(20), RetryAfter = TimeSpan.FromSeconds(1) };

    [Fact]
    public async Task It_rests_while_the_disk_is_full()
    {
        StoredSegment[] segments = await StoreAsync(2);
        _disk.ReportFull();
        using Compressor compressor = await StartAsync(Times);
        await Task.Delay(Moment);
        Assert.DoesNotContain(segments, s => s.IsCompressed);
        _disk.Set(full: false);
        await AwaitAsync(() => segments.All(s => s.IsCompressed));
        await compressor.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task It_waits_until_a_segment_has_been_closed_for_a_while()
    {
        StoredSegment[] segments = await StoreAsync(2);
        CompressionTimes times = new() { After = TimeSpan.FromHours(1), Every = TimeSpan.FromMilliseconds(20) };
        DateTime due = DateTime.UtcNow.AddSeconds(2);
        File.SetLastWriteTimeUtc(segments[1].Path + ".sum", due - times.After);
        using Compressor compressor = await StartAsync(times);
        await AwaitAsync(() => segments[1].IsCompressed);
        Assert.InRange(DateTime.UtcNow, due, DateTime.MaxValue);
        Assert.False(segments[0].IsCompressed);
        await compressor.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task One_segment_that_fails_is_tried_again_later_and_holds_up_no_other()
    {
        StoredSegment[] segments = await StoreAsync(3);
        string inTheWay = segments[0].CompressedPath + ".tmp";
        Directory.CreateDirectory(inTheWay);
        byte[] damaged = segments[1].Read();
        damaged[5000] ^= 1;
        File.WriteAllBytes(segments[1].Path, damaged);
        long start = Stopwatch.GetTimestamp();
        using Compressor compressor = await StartAsync(Times);
        await AwaitAsync(() => segments[2].IsCompressed && _log.Lines.Count >= 2);
        await Task.Delay(2 * Times.RetryAfter);
        Assert.False(segments[0].IsCompressed);
        int tries = _log.Lines.Count(l => l.StartsWith($"{segments[0].Path} cannot be compressed: open(", StringComparison.Ordinal));
        Assert.InRange(tries, 1, 1 + (int)(Stopwatch.GetElapsedTime(start) / Times.RetryAfter));
        Directory.Delete(inTheWay);
        await AwaitAsync(() => segments[0].IsCompressed);
        // The damaged one is told of once and not touched.
        Assert.Single(_log.Lines, l => l.StartsWith(segments[1].Path + " is not what its .sum says", StringComparison.Ordinal));
        Assert.Equal(damaged, segments[1].Read());
        await compressor.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task Its_thread_has_idle_priority()
    {
        using Compressor compressor = await StartAsync(Times);
        await AwaitAsync(() => OwnThreads.Policies("compress") is { Length: > 0 } policies && policies.All(policy => policy == Linux.Constants.SCHED_IDLE));
        await compressor.StopAsync(CancellationToken.None);
    }

    public void Dispose() => _fixture.Dispose();

    private static async Task AwaitAsync(Func<bool> condition)
    {
        DateTime end = DateTime.UtcNow + Patience;
        while (!condition())
        {
            Assert.True(DateTime.UtcNow < end, "not in time");
            await Task.Delay(20);
        }
    }

    private async Task<Compressor> StartAsync(CompressionTimes times)
    {
        Compressor compressor = new(_fixture.Store, _disk, times, new FaultSignal(NullLogger<FaultSignal>.Instance), _log);
        await compressor.StartAsync(CancellationToken.None);
        return compressor;
    }

    private async Task<StoredSegment[]> StoreAsync(int count)
    {
        ScriptedGuestRing ring = new(0);
        VcpuStream stream = _fixture.BeginSession().Stream(0);
        stream.Settle(ring.Hello);
        for (int i = 0; i < count; i++)
        {
            StoreFixture.Append(stream, ring.TakeSubBuffers(100), 4096);
            stream.RotateOlderThan(TimeSpan.Zero);
        }
        await _fixture.Store.Worker.FlushAsync();
        return [.. StoredSegment.In(StorePaths.Vcpu(_fixture.BootFolder, 0))];
    }

    private sealed class KeepingLog : ILogger<Compressor>
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Enqueue(formatter(state, exception));
    }
}
