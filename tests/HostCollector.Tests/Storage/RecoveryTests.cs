using Microsoft.Extensions.Logging.Abstractions;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class RecoveryTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vp");
    private readonly StorageWorker _worker = new(NullLogger<StorageWorker>.Instance);

    [Fact]
    public async Task A_torn_slot_is_cut_off_and_whole_ones_are_counted_and_closed()
    {
        ScriptedGuestRing ring = new(0);
        byte[] whole = ring.TakeSubBuffers(3);
        string file = Path.Combine(_folder.FullName, StorePaths.SegmentName(1, 4096));
        await File.WriteAllBytesAsync(file, [.. whole, .. new byte[100]]);
        Assert.Equal(ring.ReadEvents, SegmentRecovery.Recover(_folder.FullName, _worker.Post));
        await _worker.FlushAsync();
        Assert.Equal(whole, await File.ReadAllBytesAsync(file));
        SegmentSummary sum = SegmentSum.TryRead(file)!;
        Assert.Equal((3L, (long)ring.ReadEvents, 1_000_000_000ul, 1_000_002_000ul), (sum.Slots, sum.Events, sum.First, sum.Last));
        Assert.False(SegmentRecovery.HasOpen(_folder.FullName));
    }

    [Fact]
    public async Task Slots_that_a_power_loss_has_left_empty_are_cut_off_at_the_end_and_have_no_time_before_it()
    {
        ScriptedGuestRing ring = new(0);
        byte[] written = [.. ring.TakeSubBuffers(2), .. new byte[4096], .. ring.TakeSubBuffers(1), .. new byte[4096]];
        string file = Path.Combine(_folder.FullName, StorePaths.SegmentName(1, 4096));
        await File.WriteAllBytesAsync(file, [.. written, .. new byte[4096]]);
        Assert.Equal(ring.ReadEvents, SegmentRecovery.Recover(_folder.FullName, _worker.Post));
        await _worker.FlushAsync();
        Assert.Equal(written[..(4 * 4096)], await File.ReadAllBytesAsync(file));
        SegmentSummary sum = SegmentSum.TryRead(file)!;
        Assert.Equal((4L, 1_000_000_000ul, 1_000_002_000ul), (sum.Slots, sum.First, sum.Last));
    }

    [Fact]
    public async Task A_closed_segment_is_never_written_again()
    {
        ScriptedGuestRing ring = new(0);
        string file = Path.Combine(_folder.FullName, StorePaths.SegmentName(1, 4096));
        await File.WriteAllBytesAsync(file, ring.TakeSubBuffers(2));
        SegmentRecovery.Recover(_folder.FullName, _worker.Post);
        await _worker.FlushAsync();
        byte[] sum = await File.ReadAllBytesAsync(SegmentSum.PathOf(file));
        await File.AppendAllTextAsync(file, "bit rot");
        Assert.Equal(ring.ReadEvents, SegmentRecovery.Recover(_folder.FullName, _worker.Post));
        await _worker.FlushAsync();
        Assert.Equal(2 * 4096 + 7, new FileInfo(file).Length);
        Assert.Equal(sum, await File.ReadAllBytesAsync(SegmentSum.PathOf(file)));
    }

    [Fact]
    public void A_segment_without_a_whole_slot_is_removed()
    {
        string file = Path.Combine(_folder.FullName, StorePaths.SegmentName(1, 4096));
        File.WriteAllBytes(file, new byte[4095]);
        Assert.Equal(0ul, SegmentRecovery.Recover(_folder.FullName, _worker.Post));
        Assert.False(File.Exists(file));
    }

    [Fact]
    public async Task A_torn_kernel_log_record_is_cut_off_and_gaps_are_found_again()
    {
        string whole = ScriptedGuest.KmsgRecord(2, "two") + ScriptedGuest.KmsgRecord(5, "five\n KEY=value");
        string file = Path.Combine(_folder.FullName, StorePaths.KmsgName(2));
        await File.WriteAllTextAsync(file, whole + "6,6,60,-;to");
        List<(ulong, ulong)> gaps = [];
        Assert.Equal(6ul, KmsgRecovery.Recover(_folder.FullName, _worker.Post, (first, last) => gaps.Add((first, last)), () => { }));
        await _worker.FlushAsync();
        Assert.Equal([(0ul, 1ul), (3ul, 4ul)], gaps);
        Assert.Equal(whole, await File.ReadAllTextAsync(file));
        SegmentSummary sum = SegmentSum.TryRead(file)!;
        Assert.Equal((2L, 2ul, 5ul), (sum.Slots, sum.First, sum.Last));
    }

    [Fact]
    public void A_torn_line_of_a_ledger_is_cut_off_before_the_next_is_written()
    {
        string path = Path.Combine(_folder.FullName, "losses.jsonl");
        DiskReserve reserve = new(_folder.FullName);
        LossRecord record = new() { Time = DateTimeOffset.UnixEpoch, Source = "ring", Stream = "cpu0", Events = 3 };
        using (LossLedger ledger = new(path, reserve))
        {
            ledger.Append(record);
        }
        File.AppendAllText(path, "{\"time\":\"20");
        using (LossLedger ledger = new(path, reserve))
        {
            ledger.Append(record);
        }
        Assert.Equal([record, record], LossLedger.Read(path));
        Assert.Equal(2, File.ReadAllLines(path).Length);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_ledger_that_has_grown_long_adds_up_its_older_half_and_keeps_every_sum(bool bootIsThere)
    {
        string path = Path.Combine(_folder.FullName, "losses.jsonl");
        if (bootIsThere)
        {
            Directory.CreateDirectory(Path.Combine(StorePaths.Boots(_folder.FullName), "boot"));
        }
        DiskReserve reserve = new(_folder.FullName);
        LossRecord Line(int i) => new()
        {
            Time = DateTimeOffset.UnixEpoch.AddSeconds(i), Source = LossSources.Retention, Stream = $"cpu{i % 2}", First = (ulong)i, Last = (ulong)i + 1, Events = i, Boot = "boot",
            Files = [new string('f', 1000)],
        };
        const int Batches = 40;
        const int LinesOfBatch = 250;
        using (LossLedger ledger = new(path, reserve))
        {
            for (int batch = 0; batch < Batches; batch++)
            {
                ledger.AppendSynced([.. Enumerable.Range(batch * LinesOfBatch, LinesOfBatch).Select(Line)]);
            }
        }
        Assert.InRange(new FileInfo(path).Length, 1, 8 << 20);
        LossRecord[] lines = [.. LossLedger.Read(path)];
        Assert.InRange(lines.Length, 1, Batches * LinesOfBatch / 2 + LinesOfBatch * 20);
        Assert.Equal(Enumerable.Range(0, Batches * LinesOfBatch).Sum(i => (long)i), lines.Sum(l => l.Events));
        Assert.Null(lines[0].Files);
        if (!bootIsThere)
        {
            // What is gone as a whole needs no sum of its own for each stream.
            Assert.Equal((null, "boot", null), (lines[0].Boot, lines[0].Stream, lines[0].First));
            return;
        }
        Assert.Equal((0ul, "cpu0"), (lines[0].First, lines[0].Stream));
        using LossLedger again = new(path, reserve);
        Assert.Equal((ulong)Enumerable.Range(0, Batches * LinesOfBatch).Where(i => i % 2 == 1).Sum(i => (long)i), again.Totals("boot", "cpu1").RetentionEvents);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"boot_id\":")]
    public async Task A_boot_whose_record_a_power_loss_has_damaged_is_closed_and_goes_on(string left)
    {
        using StoreFixture fixture = new();
        ScriptedGuestRing ring = new(0);
        VcpuStream stream = fixture.BeginSession().Stream(0);
        stream.Settle(ring.Hello);
        StoreFixture.Append(stream, ring.TakeSubBuffers(3), 4096);
        await File.WriteAllTextAsync(StorePaths.BootRecord(fixture.BootFolder), left);
        fixture.Restart();
        Assert.NotNull(fixture.Guest.TryOpenLeft(fixture.BootFolder));
        fixture.Guest.TryOpenLeft(fixture.BootFolder)!.RecoverAll();
        await fixture.Store.Worker.FlushAsync();
        Assert.False(BootStore.HasOpenFiles(fixture.BootFolder));
        Assert.Equal(fixture.BootFolder, fixture.BeginSession().Folder);
    }

    public void Dispose()
    {
        _worker.Dispose();
        _folder.Delete(recursive: true);
    }
}
