using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class RetentionTests : IDisposable
{
    private readonly StoreFixture _fixture = new(new StoreOptions { KeepFree = 0, TotalShare = 1, SegmentBytes = 16 << 10, TraceQuota = 40 << 10 });
    private readonly ScriptedGuestRing _ring = new(0);

    [Fact]
    public async Task The_oldest_files_over_the_quota_go_and_their_events_stay_in_the_account()
    {
        await StoreSegmentsAsync(5);
        _fixture.Retention().Run();
        LossRecord[] lines = [.. _fixture.GuestLosses];
        Assert.NotEmpty(lines);
        Assert.All(lines, l => Assert.False(File.Exists(Path.Combine(StorePaths.Vcpu(_fixture.BootFolder, 0), l.File!))));
        Assert.Equal(5, lines.Length + Segments().Length);
        Assert.Equal(lines.Select(l => l.First).Order(), lines.Select(l => l.First));
        _fixture.Restart();
        Assert.Equal(_ring.ReadEvents, _fixture.BeginSession().Stream(0).Figures.Stored);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_removal_that_a_kill_cut_short_is_finished_and_not_declared_again(bool fileLeft)
    {
        await StoreSegmentsAsync(5);
        string[] before = Segments();
        Dictionary<string, byte[]> files = before.SelectMany(f => new[] { f, SegmentSum.PathOf(f) }).ToDictionary(f => f, File.ReadAllBytes);
        _fixture.Retention().Run();
        LossRecord[] lines = [.. _fixture.GuestLosses];
        foreach (string removed in before.Except(Segments()))
        {
            // As if the kill had come right after the line, or between the two unlinks.
            foreach (string file in fileLeft ? new[] { removed, SegmentSum.PathOf(removed) } : [SegmentSum.PathOf(removed)])
            {
                File.WriteAllBytes(file, files[file]);
                File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddMinutes(-1));
            }
        }
        _fixture.Restart();
        Retention retention = _fixture.Retention();
        Assert.NotNull(_fixture.Guest);
        retention.Run();
        Assert.Equal(lines, _fixture.GuestLosses);
        Assert.Equal(5 - lines.Length, Segments().Length);
        Assert.Equal(Segments().Length, Directory.GetFiles(StorePaths.Vcpu(_fixture.BootFolder, 0), "*.sum").Length);
        Assert.Equal(_ring.ReadEvents, _fixture.BeginSession().Stream(0).Figures.Stored);
    }

    [Fact]
    public async Task What_is_older_than_MaxAge_goes()
    {
        await StoreSegmentsAsync(2);
        _fixture.Clock.Advance(TimeSpan.FromDays(6));
        _fixture.Retention().Run();
        Assert.Equal(2, Segments().Length);
        _fixture.Clock.Advance(TimeSpan.FromDays(2));
        _fixture.Retention().Run();
        Assert.Empty(Segments());
        Assert.Equal((long)_ring.ReadEvents, _fixture.GuestLosses.Sum(l => l.Events));
    }

    [Fact]
    public async Task Guests_that_connect_while_it_runs_do_it_no_harm()
    {
        Retention retention = _fixture.Retention();
        Task connecting = Task.Run(() => Enumerable.Range(0, 500).ToList().ForEach(i => _fixture.Store.Guest($"guest{i}")));
        do
        {
            retention.Run();
        }
        while (!connecting.IsCompleted);
        await connecting;
    }

    public void Dispose() => _fixture.Dispose();

    private string[] Segments() => Directory.GetFiles(StorePaths.Vcpu(_fixture.BootFolder, 0), "*.pages");

    private async Task StoreSegmentsAsync(int count)
    {
        BootStore boot = _fixture.BeginSession();
        VcpuStream stream = boot.Stream(0);
        stream.Settle(_ring.Hello);
        for (int i = 0; i < count; i++)
        {
            StoreFixture.Append(stream, _ring.TakeSubBuffers(3), 4096);
            stream.RotateOlderThan(TimeSpan.Zero);
        }
        await _fixture.Store.Worker.FlushAsync();
    }
}
