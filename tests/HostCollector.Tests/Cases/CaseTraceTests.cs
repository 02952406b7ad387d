using System.Text.Json;
using VsockPair.Cases;
using VsockPair.Commands;
using VsockPair.Export;
using VsockPair.History;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Export;
using VsockPair.HostCollector.Tests.Memory;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Cases;

/// <summary>The stored stream and what the guest's memory held, as one recording. Event i is at (i + 1) × 1000 ns.</summary>
public sealed class CaseTraceTests : IDisposable
{
    private const ulong Step = 1000;
    private const int Vcpu = 1;
    private const int PerSlot = 10;

    private readonly SampleStore _store = new();
    private readonly string _case;

    public CaseTraceTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        _case = Directory.CreateDirectory(Path.Combine(_store.Root, "case")).FullName;
    }

    public void Dispose() => _store.Dispose();

    [Fact]
    public void Memory_follows_the_stream_and_the_gap_between_them_is_counted()
    {
        WriteStream(0, 40);
        WriteGeneration(readBefore: 15, lostBefore: 4);
        SampleStore.AddLosses(_store.BootFolder(SampleStore.NewBoot), Loss(LossSources.Transport, 6), Loss(LossSources.Ring, 9));
        // 15 + 38 were read; 40 stored and 6 declared lost: 7 were never heard of.
        WriteMemory(from: 47, count: 30, read: 38, overrun: 11);
        CaseTrace trace = Open();
        (List<int> values, List<(int, EventLoss)> losses) = Read(trace, TraceRange.All);
        Assert.Equal([.. Enumerable.Range(0, 40), .. Enumerable.Range(47, 30)], values);
        Assert.Equal([(47, new EventLoss(true, 7))], losses.Where(l => l.Item1 > 0));
        VcpuLosses ledger = trace.Losses.Of(trace.Recording.Vcpus[0]);
        Assert.Equal((13, 15), (ledger.Transport, ledger.Ring));
        Assert.Equal(30, trace.MemoryEvents);
        Assert.Equal(77 * Step, trace.Recording.Newest);
    }

    [Fact]
    public void What_the_stream_has_brought_meanwhile_is_cut_from_the_memory()
    {
        WriteStream(0, 40);
        WriteGeneration(0, 0);
        WriteMemory(from: 25, count: 30, read: 25);
        Assert.Equal(Enumerable.Range(0, 55), Read(Open(), TraceRange.All).Values);
        Assert.Equal(15, Open().MemoryEvents);
        Assert.Empty(Read(Open(), TraceRange.All).Losses);

        // Until it has all of it: then the memory adds nothing, at its ends neither.
        WriteStream(40, 50);
        CaseTrace later = Open();
        Assert.Equal(Enumerable.Range(0, 90), Read(later, TraceRange.All).Values);
        Assert.Equal(0, later.MemoryEvents);
        Assert.Equal(0, later.Losses.Of(later.Recording.Vcpus[0]).Transport);
    }

    /// <summary>The clock stood still over a read: the account knows that the two are not the same event.</summary>
    [Fact]
    public void Event_of_the_same_nanosecond_as_the_last_stored_one_is_kept_when_it_is_another()
    {
        WriteStream(0, 20);
        WriteGeneration(0, 0);
        WriteMemory(from: 20, count: 10, read: 20, start: 20 * Step);
        (List<int> values, _) = Read(Open(), TraceRange.All, checkTimes: false);
        Assert.Equal(Enumerable.Range(0, 30), values);
    }

    [Fact]
    public void Ring_of_another_generation_than_was_heard_of_is_a_gap_of_unknown_size()
    {
        WriteStream(0, 40);
        WriteGeneration(0, 0);
        WriteMemory(from: 60, count: 10, read: 3);
        CaseTrace trace = Open();
        (List<int> values, List<(int, EventLoss)> losses) = Read(trace, TraceRange.All);
        Assert.Equal([.. Enumerable.Range(0, 40), .. Enumerable.Range(60, 10)], values);
        Assert.Equal([(60, new EventLoss(true, null))], losses);
    }

    [Fact]
    public void Without_a_stream_the_memory_is_the_recording_and_all_that_was_read_is_lost()
    {
        WriteMemory(from: 50, count: 25, read: 50);
        CaseTrace trace = Open();
        (List<int> values, List<(int, EventLoss)> losses) = Read(trace, TraceRange.All);
        Assert.Equal(Enumerable.Range(50, 25), values);
        Assert.Equal([(50, new EventLoss(true, 50))], losses);
    }

    [Fact]
    public void Ring_that_was_empty_leaves_its_gap_at_the_end()
    {
        WriteStream(0, 40);
        WriteGeneration(0, 0);
        WriteMemory(from: 0, count: 0, read: 45);
        CaseTrace trace = Open();
        (List<int> values, List<(int, EventLoss)> losses) = Read(trace, TraceRange.All);
        Assert.Equal(Enumerable.Range(0, 40), values);
        Assert.Equal([(-1, new EventLoss(true, 5))], losses);
    }

    /// <summary>A reader that was stopped in the middle has counted events which are still in the ring.</summary>
    [Fact]
    public void Events_that_are_counted_as_read_and_still_there_are_not_lost_too()
    {
        WriteStream(0, 40);
        WriteGeneration(0, 0);
        WriteMemory(from: 40, count: 30, read: 50, entries: 70);
        Assert.Empty(Read(Open(), TraceRange.All).Losses);
    }

    [Fact]
    public void Range_may_begin_and_end_on_either_side()
    {
        WriteStream(0, 40);
        WriteGeneration(0, 0);
        WriteMemory(from: 47, count: 53, read: 47);
        CaseTrace trace = Open();
        for (int from = 0; from < 100; from += 3)
        {
            for (int to = from; to < 100; to += 7)
            {
                (List<int> values, List<(int Before, EventLoss Loss)> losses) = Read(trace, new TraceRange((ulong)(from + 1) * Step, (ulong)(to + 1) * Step));
                Assert.Equal(Enumerable.Range(from, to - from + 1).Where(i => i is < 40 or >= 47), values);
                // Where the first event after the gap is in range, the gap is too, if the range begins before it.
                Assert.Equal(from < 47 && to >= 47 ? [(47, new EventLoss(true, 7))] : [], losses);
            }
        }
    }

    [Theory]
    [InlineData("dat")]
    [InlineData("txt")]
    [InlineData("ndjson")]
    [InlineData("pftrace")]
    public void All_formats_have_both_and_the_loss(string format)
    {
        new SampleTrace(_store).WriteMetadata();
        WriteStream(0, 40);
        WriteGeneration(0, 0);
        WriteMemory(from: 47, count: 30, read: 47);
        using MemoryStream target = new();
        IExporter exporter = ExportFormat.TryFind(format)!.Create!();
        using (exporter as IDisposable)
        {
            using ProgressBar progress = new(TextWriter.Null, shown: false, TimeProvider.System);
            ExportCounts counts = exporter.Write(Open().Source(_store.Root, TraceRange.All), target, progress, CancellationToken.None);
            Assert.Equal((70, 7, 0, 0), (counts.Events, counts.LostEvents, counts.LossesUnknown, counts.Damage.Places));
        }
        Assert.True(target.Length > 1000);
    }

    [Fact]
    public void Loss_before_a_full_sub_buffer_has_its_number()
    {
        WriteStream(0, 10);
        WriteGeneration(0, 0);
        FakeRing ring = new(new FakeKernel());
        ring.Fill(0, SampleTrace.SubBufferOf(41 * Step, 40, SampleTrace.MostEvents), SampleTrace.MostEvents);
        ring.SetCommit(0);
        ring.Set(l => l.Read, 10);
        ring.Set(l => l.Overrun, 30);
        ring.Set(l => l.Entries, (ulong)(40 + SampleTrace.MostEvents));
        MemoryTrace.Write(_case, [ring.Tail()]);
        (List<int> values, List<(int, EventLoss)> losses) = Read(Open(), TraceRange.All);
        Assert.Equal([.. Enumerable.Range(0, 10), .. Enumerable.Range(40, SampleTrace.MostEvents)], values);
        Assert.Equal([(40, new EventLoss(true, 30))], losses);
    }

    [Fact]
    public void Writing_again_replaces_what_was_there()
    {
        WriteMemory(from: 0, count: 30, read: 0);
        Directory.CreateDirectory(Path.Combine(_case, MemoryTrace.FolderName + ".tmp", "cpu7"));
        WriteMemory(from: 40, count: 10, read: 0);
        Assert.Equal(Enumerable.Range(40, 10), Read(Open(), TraceRange.All).Values);
        Assert.Equal(["cpu1", "cpu1.json"], Directory.GetFileSystemEntries(Path.Combine(_case, MemoryTrace.FolderName)).Select(Path.GetFileName).Order(StringComparer.Ordinal)!);
        Assert.Equal([_case + "/memory"], Directory.GetFileSystemEntries(_case));
    }

    private CaseTrace Open()
    {
        StoredGuest guest = StoredGuest.Open(_store.Root, "web1");
        return CaseTrace.Open(guest, guest.NewestBoot!, _case, null, TextWriter.Null);
    }

    private void WriteStream(int from, int count) => new SampleTrace(_store).WriteSegment(Vcpu, (ulong)(from + 1) * Step, Slots(from, count, (ulong)(from + 1) * Step));

    private void WriteGeneration(ulong readBefore, ulong lostBefore)
    {
        string path = StorePaths.Ring(_store.BootFolder(SampleStore.NewBoot), Vcpu);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        RingRecord ring = new() { Generation = Guid.NewGuid(), SubBufferBytes = SampleTrace.SubBufferBytes, ReadEventsBefore = readBefore, LostEventsBefore = lostBefore };
        File.WriteAllText(path, JsonSerializer.Serialize(ring, StoreJson.Default.RingRecord));
    }

    /// <param name="overrun">Before the reader page was taken out, so that no sub-buffer tells of it.</param>
    /// <param name="start">Time of the first event, where it is not that of its number.</param>
    private void WriteMemory(int from, int count, ulong read, ulong overrun = 0, ulong? entries = null, ulong? start = null)
    {
        FakeRing ring = new(new FakeKernel());
        byte[][] slots = Slots(from, count, start ?? (ulong)(from + 1) * Step);
        for (int i = 0; i < slots.Length; i++)
        {
            ring.Fill(i, slots[i], PerSlot);
        }
        ring.SetCommit(slots.Length - 1);
        ring.Set(l => l.Read, read);
        ring.Set(l => l.Overrun, overrun);
        ring.Set(l => l.LastOverrun, overrun);
        ring.Set(l => l.Entries, entries ?? read + overrun + (ulong)count);
        MemoryTrace.Write(_case, [ring.Tail()]);
    }

    private static byte[][] Slots(int from, int count, ulong start) =>
        [.. Enumerable.Range(0, (count + PerSlot - 1) / PerSlot).Select(i => SampleTrace.SubBufferOf(start + (ulong)(i * PerSlot) * Step, from + i * PerSlot, Math.Min(PerSlot, count - i * PerSlot)))];

    private static LossRecord Loss(string source, long events) =>
        new() { Time = SampleStore.Noon, Source = source, Stream = StorePaths.StreamName(Vcpu), First = 1, Events = events };

    /// <summary>The numbers of the events, and what was lost before which of them (-1: after the last).</summary>
    private static (List<int> Values, List<(int Before, EventLoss Loss)> Losses) Read(CaseTrace trace, TraceRange range, bool checkTimes = true)
    {
        List<int> values = [];
        List<(int, EventLoss)> losses = [];
        VcpuRecording vcpu = Assert.Single(trace.Recording.Vcpus);
        using VcpuEvents walk = new(vcpu.Read(range, trace.Losses.Of(vcpu).PlacedIn(TraceRange.All)));
        while (walk.TryReadNext())
        {
            values.Add(BitConverter.ToInt32(walk.Payload[8..]));
            Assert.True(!checkTimes || walk.TimeStamp == (ulong)(values[^1] + 1) * Step);
            if (walk.Loss.Any)
            {
                losses.Add((values[^1], walk.Loss));
            }
        }
        if (walk.Loss.Any)
        {
            losses.Add((-1, walk.Loss));
        }
        return (values, losses);
    }
}
