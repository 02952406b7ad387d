using Microsoft.Extensions.Logging.Abstractions;
using VsockPair.Cases;
using VsockPair.HostCollector.Tests.Storage;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Cases;

public sealed class CaseRetentionTests : IDisposable
{
    private const int MemoryBytes = 1 << 20;
    private const int OtherBytes = 64 << 10;

    private readonly string _store = Directory.CreateTempSubdirectory("vsockpair-cases-").FullName;
    private readonly MovableClock _clock = new();
    private readonly HostAge _age;

    public CaseRetentionTests() => _age = new HostAge(_clock);

    [Fact]
    public void Over_the_quota_the_memory_of_the_oldest_goes_first()
    {
        string[] ids = [.. Enumerable.Range(0, 4).Select(i => AddCase(i))];
        Run(new WatchOptions { CaseQuota = 2 * MemoryBytes + (1 << 19) });
        Assert.Equal([false, false, true, true], ids.Select(HasMemory));
        Assert.All(ids, id => Assert.True(File.Exists(Path.Combine(CasePaths.Folder(_store, id), CasePaths.Kmsg))));
        CaseManifest manifest = StoredCase.TryOpen(_store, ids[0])!.Manifest!;
        Assert.DoesNotContain(manifest.Parts, p => p.Path == CasePaths.Vmcore);
        Assert.Contains("to keep CaseQuota", manifest.Missing.Single(m => m.Part == CasePaths.Vmcore).Reason, StringComparison.Ordinal);
        Assert.Equal([(ids[0], "memory", "CaseQuota"), (ids[1], "memory", "CaseQuota")], Removed.Select(r => (r.Id!, r.What, r.Why)));
        Assert.All(Removed, r => Assert.InRange(r.Bytes, MemoryBytes, MemoryBytes + 8192));
        Run(new WatchOptions { CaseQuota = 2 * MemoryBytes + (1 << 19) });
        Assert.Equal(2, Removed.Count);
    }

    [Fact]
    public void Over_the_quota_without_any_memory_whole_cases_go()
    {
        string[] ids = [.. Enumerable.Range(0, 4).Select(i => AddCase(i))];
        Run(new WatchOptions { CaseQuota = 3 * OtherBytes });
        Assert.Equal(ids[2..], StoredCase.Ids(_store).Reverse());
        Assert.Equal(2, Removed.Count(r => r.What == RemovedRecord.Case));
        Assert.Equal(4, Removed.Count(r => r.What == RemovedRecord.Memory));
    }

    [Fact]
    public void Old_cases_go_and_open_ones_never()
    {
        string old = AddCase(0);
        string open = AddCase(1, closed: false);
        _clock.Advance(TimeSpan.FromDays(31));
        string young = AddCase(2);
        Run(new WatchOptions { CaseQuota = 1 });
        Assert.Equal([open], StoredCase.Ids(_store));
        Assert.True(HasMemory(open));
        Assert.Equal(["CaseAge", "CaseQuota", "CaseQuota"], Removed.Select(r => r.Why));
        Assert.Equal([old, young], Removed.Where(r => r.What == RemovedRecord.Case).Select(r => r.Id!));
    }

    [Fact]
    public void An_open_case_over_the_quota_costs_no_other_its_log()
    {
        string[] closed = [AddCase(0), AddCase(1)];
        AddCase(2, closed: false);
        Run(new WatchOptions { CaseQuota = MemoryBytes / 2 });
        Assert.Equal(3, StoredCase.Ids(_store).Count);
        Assert.All(closed, id => Assert.False(HasMemory(id)));
    }

    [Fact]
    public void A_case_that_was_told_and_could_not_be_closed_is_no_longer_open()
    {
        string id = AddCase(0, closed: false);
        string path = CasePaths.Event(CasePaths.Folder(_store, id));
        DurableFile.Replace(path, DurableFile.TryRead(path, CaseJson.Default.CaseEvent)! with { Announced = _clock.GetUtcNow() }, CaseJson.Default.CaseEvent);
        Run(new WatchOptions { CaseQuota = 1 });
        Assert.Empty(StoredCase.Ids(_store));
    }

    [Fact]
    public void A_host_clock_that_is_set_removes_nothing()
    {
        AddCase(0);
        _clock.Set(TimeSpan.FromDays(3650));
        Run(new WatchOptions());
        Assert.Single(StoredCase.Ids(_store));
    }

    [Fact]
    public void Below_keep_free_memory_goes_and_nothing_else()
    {
        string[] ids = [AddCase(0), AddCase(1)];
        Run(new WatchOptions(), keepFree: 1);
        Assert.All(ids, id => Assert.False(HasMemory(id)));
        Assert.Equal(2, StoredCase.Ids(_store).Count);
        Assert.All(Removed, r => Assert.Equal(("memory", "KeepFree"), (r.What, r.Why)));
    }

    [Theory]
    [InlineData(RemovedRecord.Memory)]
    [InlineData(RemovedRecord.Case)]
    public void A_removal_that_a_kill_cut_short_is_finished_and_counted_once(string what)
    {
        string id = AddCase(0);
        new RemovedLedger(_store).Append(new RemovedRecord { Time = _clock.GetUtcNow(), Id = id, What = what, Bytes = 1, Why = "CaseQuota" });
        string half = Path.Combine(StorePaths.Cases(_store), ".removed-20260131T120000Z-web1");
        Directory.CreateDirectory(half);
        Run(new WatchOptions());
        Assert.False(HasMemory(id));
        Assert.Equal(what == RemovedRecord.Memory, Directory.Exists(CasePaths.Folder(_store, id)));
        Assert.False(Directory.Exists(half));
        Assert.Single(Removed);
    }

    [Fact]
    public void Leftovers_of_dead_processes_go_and_what_is_being_written_stays()
    {
        string folder = CasePaths.Folder(_store, AddCase(0));
        string dead = Path.Combine(folder, "trace.dat.partial");
        string live = Path.Combine(folder, "vmcore.partial");
        File.WriteAllText(dead, "x");
        using FileStream writing = new(live, FileMode.CreateNew, FileAccess.Write, FileShare.None);
        foreach (string file in (string[])[dead, live])
        {
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddHours(-1));
        }
        string never = Directory.CreateDirectory(Path.Combine(StorePaths.Cases(_store), "20260131T120000Z-never")).FullName;
        Directory.SetLastWriteTimeUtc(never, DateTime.UtcNow.AddHours(-1));
        Run(new WatchOptions());
        Assert.Equal((false, true, false), (File.Exists(dead), File.Exists(live), Directory.Exists(never)));
    }

    [Fact]
    public void What_was_removed_long_ago_is_summed_up()
    {
        RemovedLedger ledger = new(_store);
        Directory.CreateDirectory(StorePaths.Cases(_store));
        RemovedRecord record = new() { Time = _clock.GetUtcNow(), Id = "20260131T120000Z-web1", What = RemovedRecord.Case, Bytes = 10, Why = "CaseAge" };
        DurableFile.ReplaceLines(Path.Combine(StorePaths.Cases(_store), RemovedLedger.FileName), Enumerable.Repeat(record, 5000), RemovedJson.Default.RemovedRecord);
        // Torn by a power loss.
        File.AppendAllText(Path.Combine(StorePaths.Cases(_store), RemovedLedger.FileName), "{\"time\":");
        ledger.Append(record);
        IReadOnlyList<RemovedRecord> lines = ledger.Read();
        Assert.InRange(lines.Count, 100, 3000);
        Assert.Equal((5001, 50_010L), (lines.Sum(l => l.Count), lines.Sum(l => l.Bytes)));
    }

    public void Dispose() => Directory.Delete(_store, recursive: true);

    private IReadOnlyList<RemovedRecord> Removed => new RemovedLedger(_store).Read();

    private bool HasMemory(string id) => File.Exists(Path.Combine(CasePaths.Folder(_store, id), CasePaths.Vmcore));

    private void Run(WatchOptions options, double keepFree = 0) =>
        new CaseRetention(_store, new StoreOptions { KeepFree = keepFree }, options, _age, _clock, NullLogger<CaseRetention>.Instance).Run();

    private string AddCase(int minute, bool closed = true)
    {
        DateTimeOffset time = _clock.GetUtcNow().AddMinutes(minute);
        string id = CasePaths.Id(time, "web1", 0);
        string folder = CasePaths.Folder(_store, id);
        Directory.CreateDirectory(folder);
        File.WriteAllBytes(Path.Combine(folder, CasePaths.Vmcore), new byte[MemoryBytes]);
        File.WriteAllBytes(Path.Combine(folder, CasePaths.Kmsg), new byte[OtherBytes]);
        DurableFile.Replace(CasePaths.Event(folder), new CaseEvent { Id = id, Guest = "web1", Kind = CaseKinds.Panic, Time = time, Source = "store" }, CaseJson.Default.CaseEvent);
        CaseManifest manifest = new()
        {
            Id = id, Guest = "web1", Kind = CaseKinds.Panic, Time = time, Closed = closed ? time : null,
            Parts = [new CasePart(CasePaths.Vmcore, "memory", MemoryBytes, "", time, true)], Missing = [],
        };
        DurableFile.Replace(CasePaths.Manifest(folder), manifest, CaseJson.Default.CaseManifest);
        return id;
    }
}
