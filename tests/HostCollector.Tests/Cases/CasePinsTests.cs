using VsockPair.Cases;
using VsockPair.HostCollector.Tests.Storage;
using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Cases;

public sealed class CasePinsTests : IDisposable
{
    private const int Segments = 6;

    /// <summary>A segment takes 12 KiB and its sidecar 4.</summary>
    private const int SegmentBlocks = 16 << 10;

    private readonly StoreFixture _fixture = new(new StoreOptions { KeepFree = 0, TotalShare = 1, SegmentBytes = 16 << 10, TraceQuota = 4 * SegmentBlocks, MaxAge = TimeSpan.FromMinutes(20) });
    private readonly ScriptedGuestRing _ring = new(0);

    [Fact]
    public async Task What_an_open_case_needs_stays_up_to_half_of_the_quota_and_the_rest_goes_as_ever()
    {
        BootStore dead = _fixture.BeginSession();
        string[] pinned = await StoreAsync(dead, 3);
        AddCase(dead.Name, closed: false);
        BootStore next = _fixture.BeginSession(Guid.NewGuid());
        string[] others = await StoreAsync(next, Segments);
        _fixture.Retention().Run();
        // Two of three are half a quota: the newest.
        Assert.Equal([false, true, true], pinned.Select(File.Exists));
        Assert.InRange(others.Count(File.Exists), 1, 2);
        Assert.True(File.Exists(others[^1]));
        // Nothing is silent: what went is in the ledger, the pinned file too.
        Assert.Contains(_fixture.GuestLosses, l => l.Boot == dead.Name && l.Files!.Contains(Path.GetFileName(pinned[0])));
    }

    [Fact]
    public async Task Without_an_open_case_the_oldest_go()
    {
        BootStore dead = _fixture.BeginSession();
        string[] old = await StoreAsync(dead, 3);
        AddCase(dead.Name, closed: true);
        await StoreAsync(_fixture.BeginSession(Guid.NewGuid()), Segments);
        _fixture.Retention().Run();
        Assert.All(old, f => Assert.False(File.Exists(f)));
    }

    [Fact]
    public async Task Age_spares_it_too_until_the_case_is_closed_or_forgotten()
    {
        BootStore dead = _fixture.BeginSession();
        string[] pinned = await StoreAsync(dead, 2);
        string id = AddCase(dead.Name, closed: false);
        Retention retention = _fixture.Retention();
        _fixture.Clock.Advance(TimeSpan.FromHours(1));
        retention.Run();
        Assert.All(pinned, f => Assert.True(File.Exists(f)));
        Close(id);
        _fixture.Clock.Advance(TimeSpan.FromSeconds(2));
        retention.Run();
        Assert.All(pinned, f => Assert.False(File.Exists(f)));
    }

    [Fact]
    public async Task A_case_that_nobody_closes_holds_nothing_for_ever()
    {
        BootStore dead = _fixture.BeginSession();
        string[] pinned = await StoreAsync(dead, 2);
        AddCase(dead.Name, closed: false);
        _fixture.Clock.Advance(TimeSpan.FromDays(3));
        _fixture.Retention().Run();
        Assert.All(pinned, f => Assert.False(File.Exists(f)));
    }

    [Fact]
    public async Task What_is_older_than_a_quarter_of_an_hour_before_the_crash_is_not_held()
    {
        BootStore dead = _fixture.BeginSession();
        string[] files = await StoreAsync(dead, 2);
        File.SetLastWriteTimeUtc(files[0], DateTime.UtcNow.AddMinutes(-16));
        AddCase(dead.Name, closed: false);
        Retention retention = _fixture.Retention();
        _fixture.Clock.Advance(TimeSpan.FromHours(1));
        retention.Run();
        Assert.Equal([false, true], files.Select(File.Exists));
    }

    public void Dispose() => _fixture.Dispose();

    private async Task<string[]> StoreAsync(BootStore boot, int count)
    {
        VcpuStream stream = boot.Stream(0);
        ScriptedGuestRing ring = count == Segments ? new ScriptedGuestRing(0) : _ring;
        stream.Settle(ring.Hello);
        for (int i = 0; i < count; i++)
        {
            StoreFixture.Append(stream, ring.TakeSubBuffers(3), 4096);
            stream.RotateOlderThan(TimeSpan.Zero);
            await _fixture.Store.Worker.FlushAsync();
            // File systems stamp in steps of some milliseconds.
            await Task.Delay(20);
        }
        return [.. Directory.GetFiles(StorePaths.Vcpu(boot.Folder, 0), "*.pages").Order(StringComparer.Ordinal)];
    }

    private string AddCase(string boot, bool closed)
    {
        DateTimeOffset now = _fixture.Clock.GetUtcNow();
        string id = CasePaths.Id(now, StoreFixture.GuestName, 0);
        string folder = CasePaths.Folder(_fixture.Store.Folder, id);
        Directory.CreateDirectory(folder);
        DurableFile.Replace(
            CasePaths.Event(folder), new CaseEvent { Id = id, Guest = StoreFixture.GuestName, Kind = CaseKinds.Panic, Time = now, Source = "store", Boot = boot }, CaseJson.Default.CaseEvent);
        if (closed)
        {
            Close(id);
        }
        return id;
    }

    private void Close(string id)
    {
        DateTimeOffset now = _fixture.Clock.GetUtcNow();
        CaseManifest manifest = new() { Id = id, Guest = StoreFixture.GuestName, Kind = CaseKinds.Panic, Time = now, Closed = now, Parts = [], Missing = [] };
        DurableFile.Replace(CasePaths.Manifest(CasePaths.Folder(_fixture.Store.Folder, id)), manifest, CaseJson.Default.CaseManifest);
    }
}
