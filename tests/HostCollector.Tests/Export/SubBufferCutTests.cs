using VsockPair.History;
using VsockPair.Tracing;

namespace VsockPair.HostCollector.Tests.Export;

public sealed class SubBufferCutTests
{
    private const ulong Start = 5_000_000;

    [Fact]
    public void Kept_events_keep_their_times()
    {
        byte[] page = SampleTrace.SubBufferOf(Start, 0, 10);
        Assert.True(SubBufferCut.TryKeep(page, new TraceRange(Start + 2500, Start + 6000)));
        Assert.Equal([(Start + 3000, 3), (Start + 4000, 4), (Start + 5000, 5), (Start + 6000, 6)], Read(page));
        Assert.All(page[new SubBuffer(page).UsedBytes..], b => Assert.Equal(0, b));
    }

    [Fact]
    public void Nothing_in_range_is_told() => Assert.False(SubBufferCut.TryKeep(SampleTrace.SubBufferOf(Start, 0, 10), new TraceRange(Start + 1001, Start + 1999)));

    [Fact]
    public void Loss_before_the_first_event_stays_with_it()
    {
        byte[] page = SampleTrace.SubBufferOf(Start, 0, 10);
        Assert.True(SubBufferCut.TryMarkLoss(page, 7));
        Assert.True(SubBufferCut.TryKeep(page, new TraceRange(0, Start + 1000)));
        EventCursor events = new(page);
        Assert.Equal((true, 7ul), (events.Header.Missed, events.LostEvents));
        Assert.True(SubBufferCut.TryKeep(page, new TraceRange(Start + 1, Start + 1000)));
        Assert.False(new SubBuffer(page).Missed);
    }

    [Fact]
    public void Full_sub_buffer_is_split_to_make_room_for_a_number()
    {
        byte[] page = SampleTrace.SubBufferOf(Start, 0, SampleTrace.MostEvents);
        Assert.Equal(0, (SampleTrace.SubBufferBytes - SubBuffer.HeaderBytes) % 24);
        Assert.False(SubBufferCut.TryMarkLoss(page, 7));
        byte[] rest = new byte[page.Length];
        Assert.True(SubBufferCut.TrySplit(page, rest, 1));
        Assert.True(SubBufferCut.TryMarkLoss(page, 7));
        Assert.Equal([(Start, 0)], Read(page));
        Assert.Equal(Enumerable.Range(1, SampleTrace.MostEvents - 1).Select(i => (Start + (ulong)i * 1000, i)), Read(rest));
        Assert.False(new SubBuffer(rest).Missed);
    }

    [Fact]
    public void Single_event_cannot_be_split()
    {
        byte[] page = SampleTrace.SubBufferOf(Start, 0, 1);
        Assert.False(SubBufferCut.TrySplit(page, new byte[page.Length], 1));
    }

    private static List<(ulong Time, int Value)> Read(byte[] page)
    {
        List<(ulong, int)> found = [];
        EventCursor events = new(page);
        while (events.TryRead(out RingEvent one))
        {
            found.Add((one.TimeStamp, BitConverter.ToInt32(one.Payload[8..])));
        }
        Assert.False(events.IsMalformed);
        return found;
    }
}
