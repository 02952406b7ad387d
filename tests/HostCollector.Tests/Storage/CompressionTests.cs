using System.Security.Cryptography;
using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class CompressionTests : IDisposable
{
    private readonly StoreFixture _fixture = new(new StoreOptions { KeepFree = 0, TotalShare = 1, SegmentBytes = 4 << 20, TraceQuota = 1 << 20 });

    private string Folder => StorePaths.Vcpu(_fixture.BootFolder, 0);

    [Theory]
    [InlineData(4096, 300)]
    [InlineData(65536, 11)]
    [InlineData(524288, 3)]
    public async Task Every_slot_is_found_in_the_compressed_form_and_anybodys_zstd_restores_the_segment(int subBufferBytes, int slots)
    {
        StoredSegment segment = await StoreAsync(subBufferBytes, slots);
        byte[] before = segment.Read();
        DateTime written = File.GetLastWriteTimeUtc(segment.Path);
        Assert.Equal(CompressionEnd.Done, Compress(segment));

        Assert.True(segment.IsCompressed);
        Assert.Equal(before, segment.Read());
        segment.CheckSummary();
        Assert.Equal(written, File.GetLastWriteTimeUtc(segment.CompressedPath));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(segment.CompressedPath));
        Assert.InRange(new FileInfo(segment.CompressedPath).Length, 1, before.Length / 2);
        using CompressedSegment reader = CompressedSegment.TryOpen(segment.CompressedPath, subBufferBytes)!;
        byte[] slot = new byte[subBufferBytes];
        foreach (int i in Enumerable.Range(0, slots).Reverse())
        {
            Assert.Equal(slot.Length, reader.Read((long)i * subBufferBytes, slot));
            Assert.True(slot.AsSpan().SequenceEqual(before.AsSpan(i * subBufferBytes, subBufferBytes)), $"slot {i}");
        }
        // Across frames, and at the end.
        byte[] all = new byte[before.Length + 1];
        Assert.Equal(before.Length - 5, reader.Read(5, all));
        Assert.True(all.AsSpan(0, before.Length - 5).SequenceEqual(before.AsSpan(5)));
        Assert.Equal(0, reader.Read(before.Length, slot));
    }

    [Theory]
    [InlineData("begun", true)]
    [InlineData("written", true)]
    [InlineData("verified", true)]
    [InlineData("renamed", true)]
    [InlineData("synced", true)]
    [InlineData("begun", false)]
    public async Task A_kill_at_any_step_leaves_a_whole_form_and_the_next_start_goes_on(string step, bool dies)
    {
        StoredSegment segment = await StoreAsync(65536, 20);
        byte[] before = segment.Read();
        byte[] sum = File.ReadAllBytes(segment.Path + ".sum");
        using (SegmentCompression dying = new(_fixture.Store.Worker, () => { }, reached =>
        {
            if (reached == step)
            {
                throw dies ? new KilledException() : new OperationCanceledException();
            }
        }))
        {
            Assert.ThrowsAny<Exception>(() => dying.Run(_fixture.Guest, segment.Path));
        }
        // The plain form stands where it was, or its successor does: never neither.
        Assert.Equal(before, File.Exists(segment.Path) ? File.ReadAllBytes(segment.Path) : segment.Read());
        Assert.Equal(dies, Directory.GetFiles(Folder).Any(f => f.Contains(".zst", StringComparison.Ordinal)));

        _fixture.Restart();
        // Before anything is tidied up the segment counts once.
        Assert.Equal(20L * Ring(65536).MaxEvents - 10 * (Ring(65536).MaxEvents - 7), (long)_fixture.BeginSession().Stream(0).Figures.Stored);
        using SegmentCompression next = new(_fixture.Store.Worker, () => { });
        next.FinishInterrupted(_fixture.Guest, Folder);
        Assert.Equal(new[] { SegmentForms.Find(segment.Path)!, segment.Path + ".sum" }.Order(StringComparer.Ordinal), Directory.GetFiles(Folder).Order(StringComparer.Ordinal));
        if (!segment.IsCompressed)
        {
            Assert.Equal(CompressionEnd.Done, next.Run(_fixture.Guest, segment.Path));
        }
        Assert.Equal(before, segment.Read());
        Assert.Equal(sum, File.ReadAllBytes(segment.Path + ".sum"));
        Assert.Equal([segment.Path + ".sum", segment.CompressedPath], Directory.GetFiles(Folder).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Of_two_forms_a_damaged_second_one_goes()
    {
        StoredSegment segment = await StoreAsync(65536, 20);
        byte[] before = segment.Read();
        Compress(segment);
        byte[] compressed = File.ReadAllBytes(segment.CompressedPath);
        compressed[compressed.Length / 2] ^= 1;
        File.WriteAllBytes(segment.CompressedPath, compressed);
        File.WriteAllBytes(segment.Path, before);
        using SegmentCompression compression = new(_fixture.Store.Worker, () => { });
        compression.FinishInterrupted(_fixture.Guest, Folder);
        Assert.Equal([segment.Path, segment.Path + ".sum"], Directory.GetFiles(Folder).Order(StringComparer.Ordinal));
        Assert.Equal(before, segment.Read());
    }

    [Fact]
    public async Task A_segment_that_is_not_what_its_sidecar_says_stays_as_it_is()
    {
        StoredSegment segment = await StoreAsync(65536, 20);
        byte[] damaged = segment.Read();
        damaged[100_000] ^= 4;
        File.WriteAllBytes(segment.Path, damaged);
        Assert.Equal(CompressionEnd.Damaged, Compress(segment));
        File.WriteAllBytes(segment.Path, damaged[..^4096]);
        Assert.Equal(CompressionEnd.Damaged, Compress(segment));
        Assert.Equal([segment.Path, segment.Path + ".sum"], Directory.GetFiles(Folder).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("begun", false)]
    [InlineData("verified", false)]
    [InlineData("verified", true)]
    [InlineData("synced", false)]
    [InlineData("synced", true)]
    public async Task What_retention_removes_meanwhile_does_not_come_back_nor_harms_another_of_its_name(string step, bool another)
    {
        StoredSegment segment = await StoreAsync(65536, 20);
        byte[] other = [1, 2, 3];
        using SegmentCompression compression = new(_fixture.Store.Worker, () => { }, reached =>
        {
            if (reached == step)
            {
                StoredFile.Delete(segment.Path);
                if (another)
                {
                    File.WriteAllBytes(segment.Path, other);
                }
            }
        });
        CompressionEnd end = compression.Run(_fixture.Guest, segment.Path);
        Assert.Equal(step == "synced" ? CompressionEnd.Done : CompressionEnd.Gone, end);
        Assert.Equal(another ? [segment.Path] : [], Directory.GetFiles(Folder));
        Assert.Equal(another ? other : null, another ? File.ReadAllBytes(segment.Path) : null);
        Assert.Equal(CompressionEnd.Gone, compression.Run(_fixture.Guest, segment.Path));
    }

    [Fact]
    public async Task A_folder_that_goes_meanwhile_ends_the_compression_of_its_segments_alone()
    {
        StoredSegment segment = await StoreAsync(65536, 20);
        using SegmentCompression compression = new(_fixture.Store.Worker, () => { }, reached =>
        {
            if (reached == "begun")
            {
                Directory.Delete(Folder, recursive: true);
            }
        });
        Assert.Throws<FileNotFoundException>(() => compression.Run(_fixture.Guest, segment.Path));
        Assert.False(Directory.Exists(Folder));
    }

    [Fact]
    public async Task History_grows_quotas_count_what_the_compressed_form_takes()
    {
        List<StoredSegment> segments = [];
        ScriptedGuestRing ring = new(0, 65536);
        for (int i = 0; i < 6; i++)
        {
            segments.Add(await StoreAsync(65536, 4, ring));
        }
        Retention retention = _fixture.Retention();
        segments.ForEach(s => Assert.Equal(CompressionEnd.Done, Compress(s)));
        retention.Run();
        // Six times 256 KiB would be more than the quota of 1 MiB.
        Assert.Empty(_fixture.GuestLosses);
        _fixture.Clock.Advance(TimeSpan.FromDays(8));
        retention.Run();
        Assert.Equal(6, _fixture.GuestLosses.Count);
        Assert.Equal(segments.Select(s => Path.GetFileName(s.Path)), _fixture.GuestLosses.Select(l => l.File));
        Assert.All(_fixture.GuestLosses, l => Assert.InRange(l.Bytes!.Value, 1, 128 << 10));
        Assert.Equal((long)ring.ReadEvents, _fixture.GuestLosses.Sum(l => l.Events));
        Assert.Empty(Directory.GetFiles(Folder));
    }

    [Fact]
    public async Task A_removal_of_a_compressed_segment_that_a_kill_cut_short_is_finished()
    {
        ScriptedGuestRing ring = new(0, 65536);
        StoredSegment segment = await StoreAsync(65536, 4, ring);
        Compress(segment);
        File.SetLastWriteTimeUtc(segment.CompressedPath, DateTime.UtcNow.AddMinutes(-1));
        _fixture.Guest.Ledger.AppendSynced(
        [
            new LossRecord
            {
                Time = DateTimeOffset.UtcNow, Source = LossSources.Retention, Stream = "cpu0", Events = (long)ring.ReadEvents,
                Boot = Path.GetFileName(_fixture.BootFolder), File = Path.GetFileName(segment.Path),
            },
        ]);
        _fixture.Restart();
        Assert.Equal(ring.ReadEvents, _fixture.BeginSession().Stream(0).Figures.Stored);
        Assert.Empty(Directory.GetFiles(Folder));
    }

    [Fact]
    public async Task A_start_counts_compressed_segments_from_their_sidecars_without_reading_them_and_rebuilds_a_damaged_sidecar()
    {
        ScriptedGuestRing ring = new(0, 65536);
        StoredSegment segment = await StoreAsync(65536, 20, ring);
        Compress(segment);
        SegmentSummary sum = SegmentSum.TryRead(segment.Path)!;
        byte[] compressed = File.ReadAllBytes(segment.CompressedPath);
        File.WriteAllBytes(segment.CompressedPath, []);
        _fixture.Restart();
        Assert.Equal(ring.ReadEvents, _fixture.BeginSession().Stream(0).Figures.Stored);
        File.WriteAllBytes(segment.CompressedPath, compressed);
        File.WriteAllText(segment.Path + ".sum", "{");
        _fixture.Restart();
        Assert.Equal(ring.ReadEvents, _fixture.BeginSession().Stream(0).Figures.Stored);
        Assert.Equal(sum with { Bytes = null }, SegmentSum.TryRead(segment.Path));
        File.WriteAllBytes(segment.CompressedPath, compressed[..^1]);
        File.WriteAllText(segment.Path + ".sum", "{");
        _fixture.Restart();
        Assert.Equal(0ul, _fixture.BeginSession().Stream(0).Figures.Stored);
    }

    [Fact]
    public async Task The_name_of_a_compressed_segment_is_not_given_again()
    {
        StoredSegment segment = await StoreAsync(65536, 4);
        Compress(segment);
        _fixture.Restart();
        // The same clock again, as in a guest whose snapshot was restored.
        StoredSegment second = await StoreAsync(65536, 4);
        Assert.Equal([segment.Path, second.Path], StoredSegment.In(Folder).Select(s => s.Path));
        Assert.EndsWith("1-65536.pages", second.Path, StringComparison.Ordinal);
        second.CheckSummary();
    }

    [Fact]
    public async Task The_line_of_a_removed_boot_counts_compressed_events()
    {
        ScriptedGuestRing ring = new(0, 65536);
        Compress(await StoreAsync(65536, 4, ring));
        Assert.Equal((long)ring.ReadEvents, BootRemoval.LineOf(_fixture.BootFolder, DateTimeOffset.UtcNow).Events);
    }

    [Fact]
    public async Task A_damaged_file_gives_its_content_or_an_error_that_names_it()
    {
        StoredSegment segment = await StoreAsync(16384, 64);
        byte[] before = segment.Read();
        Compress(segment);
        byte[] good = File.ReadAllBytes(segment.CompressedPath);
        string file = Path.Combine(_fixture.Store.Folder, "damaged.pages.zst");
        Random random = new(7);
        int refused = 0;
        for (int i = 0; i < 1500; i++)
        {
            byte[] bytes = Damage(good, random, i);
            File.WriteAllBytes(file, bytes);
            try
            {
                using CompressedSegment reader = CompressedSegment.TryOpen(file, 16384)!;
                Assert.InRange(reader.ContentBytes, 0, before.Length);
                byte[] slot = new byte[16384];
                for (long at = 0; at < reader.ContentBytes; at += slot.Length)
                {
                    Assert.Equal(slot.Length, reader.Read(at, slot));
                    Assert.True(slot.AsSpan().SequenceEqual(before.AsSpan((int)at, slot.Length)), $"round {i}: other content without an error");
                }
            }
            catch (IOException e)
            {
                Assert.StartsWith($"{file} is damaged: ", e.Message, StringComparison.Ordinal);
                refused++;
            }
        }
        Assert.InRange(refused, 1300, 1500);
    }

    public void Dispose() => _fixture.Dispose();

    private static ScriptedGuestRing Ring(int subBufferBytes) => new(0, subBufferBytes);

    private static byte[] Damage(byte[] good, Random random, int round)
    {
        byte[] bytes = [.. good];
        // A third of the damage in the table, where it says most.
        int at = round % 3 == 0 ? good.Length - 1 - random.Next(Math.Min(good.Length, 60)) : random.Next(good.Length);
        switch (round % 4)
        {
            case 0:
                bytes[at] ^= (byte)(1 << random.Next(8));
                return bytes;
            case 1:
                return bytes[..at];
            case 2:
                random.NextBytes(bytes.AsSpan(at, Math.Min(8, bytes.Length - at)));
                return bytes;
            default:
                return [.. bytes[..at], .. RandomNumberGenerator.GetBytes(random.Next(1, 20)), .. bytes[at..]];
        }
    }

    private CompressionEnd Compress(StoredSegment segment)
    {
        using SegmentCompression compression = new(_fixture.Store.Worker, () => { });
        return compression.Run(_fixture.Guest, segment.Path);
    }

    /// <summary>A closed segment, every second slot of which is a tail.</summary>
    private async Task<StoredSegment> StoreAsync(int subBufferBytes, int slots, ScriptedGuestRing? ring = null)
    {
        ring ??= Ring(subBufferBytes);
        VcpuStream stream = _fixture.BeginSession().Stream(0);
        if (ring.ReadEvents == 0)
        {
            stream.Settle(ring.Hello);
        }
        for (int i = 0; i < slots; i++)
        {
            StoreFixture.Append(stream, i % 2 == 0 ? ring.TakeSubBuffer() : ring.TakeTail(7), subBufferBytes);
        }
        stream.RotateOlderThan(TimeSpan.Zero);
        await _fixture.Store.Worker.FlushAsync();
        return StoredSegment.In(Folder)[^1];
    }

    private sealed class KilledException : Exception;
}
