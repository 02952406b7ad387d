using VsockPair.Commands;
using VsockPair.History;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Export;

namespace VsockPair.HostCollector.Tests.History;

public sealed class BootRecordingTests : IDisposable
{
    private const ulong Step = 1000;
    private const int EventsPerSlot = 10;
    private const int SlotsPerSegment = 7;
    private const int Segments = 5;
    private const int Events = EventsPerSlot * SlotsPerSegment * Segments;

    private readonly SampleStore _store = new();

    public BootRecordingTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
    }

    public void Dispose() => _store.Dispose();

    /// <summary>Event i is at (i + 1) × 1000 ns, over all slots and segments.</summary>
    [Fact]
    public void Range_begins_and_ends_where_it_should_wherever_that_is()
    {
        WriteAll();
        VcpuRecording vcpu = Assert.Single(Open().Vcpus);
        Assert.Equal(Events * Step, vcpu.Newest);
        for (int from = 0; from < Events; from += 3)
        {
            int to = Math.Min(Events - 1, from + 2 * EventsPerSlot + from % 5);
            TraceRange range = new((ulong)(from + 1) * Step - 1, (ulong)(to + 1) * Step + 1);
            Assert.Equal(Enumerable.Range(from, to - from + 1), Read(vcpu, range).Values);
        }
        Assert.Empty(Read(vcpu, new TraceRange(Events * Step + 1, ulong.MaxValue)).Values);
        Assert.Empty(Read(vcpu, new TraceRange(0, Step - 1)).Values);
    }

    [Fact]
    public void What_is_stored_after_a_recording_was_opened_is_not_part_of_it()
    {
        WriteAll();
        VcpuRecording vcpu = Assert.Single(Open().Vcpus);
        SampleTrace trace = new(_store);
        trace.WriteSegment(0, NameOf(Segments - 1), SampleTrace.SubBufferOf(Events * Step + Step, Events, 3));
        trace.WriteSegment(0, Events * Step * 2, SampleTrace.SubBufferOf(Events * Step * 2, Events, 3));
        Assert.Equal(Enumerable.Range(0, Events), Read(vcpu, TraceRange.All).Values);
    }

    [Fact]
    public void Segment_that_retention_takes_meanwhile_is_a_loss_of_unknown_size()
    {
        WriteAll();
        VcpuRecording vcpu = Assert.Single(Open().Vcpus);
        File.Delete(vcpu.Segments[1].FilePath);
        (List<int> values, List<(int, EventLoss)> losses) = Read(vcpu, TraceRange.All);
        int perSegment = EventsPerSlot * SlotsPerSegment;
        Assert.Equal([.. Enumerable.Range(0, perSegment), .. Enumerable.Range(2 * perSegment, 3 * perSegment)], values);
        Assert.Equal([(2 * perSegment, new EventLoss(true, null))], losses);
    }

    [Fact]
    public void Boot_that_retention_takes_meanwhile_is_a_loss_of_unknown_size()
    {
        WriteAll();
        VcpuRecording vcpu = Assert.Single(Open().Vcpus);
        Directory.Delete(_store.BootFolder(SampleStore.NewBoot), recursive: true);
        (List<int> values, List<(int, EventLoss)> losses) = Read(vcpu, TraceRange.All);
        Assert.Empty(values);
        Assert.Equal([(-1, EventLoss.Unknown)], losses);
    }

    [Fact]
    public void Losses_before_the_range_are_not_in_it()
    {
        WriteAll();
        VcpuRecording vcpu = Assert.Single(Open().Vcpus);
        PlacedLoss[] placed = [new(5 * Step, new EventLoss(true, 1)), new(100 * Step, new EventLoss(true, 2)), new(101 * Step, new EventLoss(true, 4)), new(Events * Step, new EventLoss(true, 8))];
        (_, List<(int, EventLoss)> losses) = Read(vcpu, new TraceRange(50 * Step, 200 * Step), placed);
        // The two in range lie within one slot, so they are told before the next.
        Assert.Equal([(100, new EventLoss(true, 2)), (110, new EventLoss(true, 4))], losses);
        Assert.Equal((-1, new EventLoss(true, 8)), Read(vcpu, new TraceRange(50 * Step, ulong.MaxValue), placed).Losses[^1]);
    }

    private void WriteAll()
    {
        SampleTrace trace = new(_store);
        for (int segment = 0; segment < Segments; segment++)
        {
            trace.WriteSegment(0, NameOf(segment), Enumerable.Range(0, SlotsPerSegment).Select(slot =>
            {
                int first = (segment * SlotsPerSegment + slot) * EventsPerSlot;
                return SampleTrace.SubBufferOf((ulong)(first + 1) * Step, first, EventsPerSlot);
            }));
        }
    }

    private static ulong NameOf(int segment) => (ulong)(segment * SlotsPerSegment * EventsPerSlot + 1) * Step;

    private BootRecording Open() => BootRecording.Open(StoredBoot.TryOpen(_store.BootFolder(SampleStore.NewBoot))!);

    /// <summary>The numbers of the events, and what was lost before which of them (-1: after the last).</summary>
    private static (List<int> Values, List<(int Before, EventLoss Loss)> Losses) Read(VcpuRecording vcpu, TraceRange range, params PlacedLoss[] losses)
    {
        List<int> values = [];
        List<(int, EventLoss)> found = [];
        using EventWalk walk = new([vcpu.Read(range, losses)]);
        while (walk.TryReadNext())
        {
            values.Add(BitConverter.ToInt32(walk.Current.Payload[8..]));
            Assert.Equal((ulong)(values[^1] + 1) * Step, walk.TimeStamp);
            if (walk.Loss.Any)
            {
                found.Add((values[^1], walk.Loss));
            }
        }
        found.AddRange(walk.LossesAtEnd.Select(l => (-1, l.Loss)));
        return (values, found);
    }
}
