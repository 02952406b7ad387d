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
        string[] removed = [.. lines.SelectMany(l => l.Files!)];
        Assert.All(removed, f => Assert.False(File.Exists(Path.Combine(StorePaths.Vcpu(_fixture.BootFolder, 0), f))));
        Assert.Equal(5, removed.Length + Segments().Length);
        // One line for all that one run removes of a stream.
        Assert.Single(lines);
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
        string lines = File.ReadAllText(StorePaths.Losses(_fixture.Guest.Folder));
        int removals = _fixture.GuestLosses.Sum(l => l.Files!.Count);
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
        Assert.Equal(lines, File.ReadAllText(StorePaths.Losses(_fixture.Guest.Folder)));
        Assert.Equal(5 - removals, Segments().Length);
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

    [Theory]
    [InlineData(3650)]
    [InlineData(-3650)]
    public async Task A_host_clock_that_is_set_removes_nothing(int days)
    {
        await StoreSegmentsAsync(2);
        Retention retention = _fixture.Retention();
        _fixture.Clock.Set(TimeSpan.FromDays(days));
        retention.Run();
        Assert.Equal(2, Segments().Length);
        // Back again, and time goes by.
        _fixture.Clock.Set(TimeSpan.FromDays(-days));
        _fixture.Clock.Advance(TimeSpan.FromDays(8));
        retention.Run();
        Assert.Empty(Segments());
    }

    [Fact]
    public async Task A_removal_is_finished_whatever_the_host_clock_says_meanwhile()
    {
        await StoreSegmentsAsync(5);
        string[] before = Segments();
        Dictionary<string, byte[]> files = before.SelectMany(f => new[] { f, SegmentSum.PathOf(f) }).ToDictionary(f => f, File.ReadAllBytes);
        _fixture.Clock.Set(TimeSpan.FromDays(-1));
        _fixture.Retention().Run();
        string[] removed = [.. before.Except(Segments())];
        foreach (string file in removed.SelectMany(f => new[] { f, SegmentSum.PathOf(f) }))
        {
            File.WriteAllBytes(file, files[file]);
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddMinutes(-1));
        }
        _fixture.Restart();
        Assert.NotNull(_fixture.Guest);
        Assert.NotEmpty(removed);
        Assert.DoesNotContain(Segments(), removed.Contains);
        Assert.Equal(_ring.ReadEvents, _fixture.BeginSession().Stream(0).Figures.Stored);
    }

    [Fact]
    public async Task The_kernel_log_has_a_quota_of_its_own()
    {
        using StoreFixture fixture = new(new StoreOptions { KeepFree = 0, TotalShare = 1, SegmentBytes = 64 << 10, TraceQuota = 128 << 10, KmsgQuota = 64 << 10 });
        BootStore boot = fixture.BeginSession();
        VcpuStream trace = boot.Stream(0);
        trace.Settle(_ring.Hello);
        StoreFixture.Append(trace, _ring.TakeSubBuffers(3), 4096);
        KmsgStream log = boot.Kmsg();
        Retention retention = fixture.Retention();
        const int Records = 3000;
        for (ulong i = 0; i < Records; i++)
        {
            Assert.Equal(AppendState.Stored, log.Append(System.Text.Encoding.ASCII.GetBytes(ScriptedGuest.KmsgRecord(i, new string('x', 100)))));
            if (i % 50 == 0)
            {
                await fixture.Store.Worker.FlushAsync();
                retention.Run();
                Assert.InRange(Directory.GetFiles(StorePaths.Kmsg(fixture.BootFolder)).Sum(DiskUsage.Bytes), 1, (64 << 10) + (16 << 10));
            }
        }
        Assert.All(fixture.GuestLosses, l => Assert.Equal(KmsgStream.Name, l.Stream));
        Assert.Equal(0ul, fixture.GuestLosses[0].First);
        // The newest are there, and each of the others is in the ledger.
        long kept = Directory.GetFiles(StorePaths.Kmsg(fixture.BootFolder), "*.kmsg").Sum(f => File.ReadAllLines(f).LongLength);
        Assert.Equal(Records, kept + fixture.GuestLosses.Sum(l => l.Records));
        Assert.Equal(fixture.GuestLosses[^1].Last, (ulong)(Records - kept) - 1);
    }

    [Fact]
    public async Task Over_the_share_of_all_guests_it_is_the_largest_that_loses()
    {
        DiskSpace.Read(Path.GetTempPath(), out long total, out _);
        using StoreFixture fixture = new(new StoreOptions { KeepFree = 0, TotalShare = (160.0 * 1024) / total, SegmentBytes = 16 << 10 });
        Dictionary<string, ScriptedGuestRing> rings = new() { ["small"] = new(0), ["large"] = new(0) };
        foreach ((string name, int segments) in new[] { ("small", 2), ("large", 12) })
        {
            VcpuStream stream = fixture.BeginSession(Guid.NewGuid(), name).Stream(0);
            stream.Settle(rings[name].Hello);
            for (int i = 0; i < segments; i++)
            {
                StoreFixture.Append(stream, rings[name].TakeSubBuffers(3), 4096);
                stream.RotateOlderThan(TimeSpan.Zero);
                await fixture.Store.Worker.FlushAsync();
            }
        }
        fixture.Retention().Run();
        string[] Held(string guest) => Directory.GetFiles(fixture.Store.Guest(guest).Folder, "*.pages", SearchOption.AllDirectories);
        Assert.Equal(2, Held("small").Length);
        Assert.InRange(Held("large").Length, 1, 11);
        Assert.InRange(
            Directory.GetFiles(Path.Combine(fixture.Store.Folder, "guests"), "*.pages*", SearchOption.AllDirectories).Sum(DiskUsage.Bytes), 1, 160 << 10);
        Assert.Empty(LossLedger.Read(StorePaths.Losses(fixture.Store.Guest("small").Folder)));
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
