using System.Buffers.Binary;
using VsockPair.Tracing;

namespace VsockPair.Shared.Tests;

/// <summary>Times, losses and payloads of a sub-buffer, as <c>include/linux/ring_buffer.h</c> and <c>ring_buffer.c</c> lay them out.</summary>
public sealed class EventCursorTests
{
    private const ulong Start = 0xF800_0000_0000_0000 + 1_000_000;
    private const uint Padding = 29;
    private const uint TimeExtend = 30;
    private const uint TimeStamp = 31;

    [Fact]
    public void Times_are_those_before_plus_deltas()
    {
        byte[] page = Page([.. Data(0, 1), .. Data(5, 2), .. Entry(TimeExtend, 7), 3, 0, 0, 0, .. Data(11, 3), .. Entry(Padding, 13), 8, 0, 0, 0, 9, 9, 9, 9, .. Data(17, 4)]);
        Assert.Equal(
            [(Start, 1), (Start + 5, 2), (Start + 5 + (3UL << 27) + 7 + 11, 3), (Start + 5 + (3UL << 27) + 7 + 11 + 13 + 17, 4)],
            Read(page, out bool malformed));
        Assert.False(malformed);
    }

    /// <summary>59 bits are in the event; the upper five are those of the time before it.</summary>
    [Fact]
    public void Absolute_time_keeps_the_upper_bits()
    {
        byte[] page = Page([.. Entry(TimeStamp, 21), 2, 0, 0, 0, .. Data(1, 6)]);
        Assert.Equal([(0xF800_0000_0000_0000 + (2UL << 27) + 21 + 1, 6)], Read(page, out _));
    }

    [Fact]
    public void Long_data_has_its_length_in_a_word()
    {
        byte[] payload = [.. BitConverter.GetBytes((ushort)77), .. new byte[398]];
        byte[] page = Page([.. Entry(0, 3), .. BitConverter.GetBytes(payload.Length + 4), .. payload]);
        EventCursor cursor = new(page);
        Assert.True(cursor.TryRead(out RingEvent ringEvent));
        Assert.Equal(77, ringEvent.Id);
        Assert.Equal(payload, ringEvent.Payload.ToArray());
        Assert.False(cursor.TryRead(out _));
        Assert.False(cursor.IsMalformed);
    }

    /// <summary>6.1 shows the commit field sign-extended.</summary>
    [Theory]
    [InlineData(0xFFFF_FFFF_0000_0000)]
    [InlineData(0UL)]
    public void Lost_events_are_told_with_their_number_where_there_is_room(ulong upper)
    {
        byte[] page = Page(Data(0, 1));
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), upper | 0xC000_0000 | 12);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(16 + 12), 42);
        EventCursor counted = new(page);
        Assert.True(counted.Header.Missed);
        Assert.Equal(42UL, counted.LostEvents);
        Assert.True(counted.TryRead(out _));

        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), upper | 0x8000_0000 | 12);
        EventCursor uncounted = new(page);
        Assert.True(uncounted.Header.Missed);
        Assert.Null(uncounted.LostEvents);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    public void Less_than_a_header_is_malformed(int bytes)
    {
        EventCursor cursor = new(new byte[bytes]);
        Assert.True(cursor.IsMalformed);
        Assert.False(cursor.TryRead(out _));
    }

    [Fact]
    public void More_data_than_there_is_gives_no_event()
    {
        byte[] page = Page(Data(0, 1));
        EventCursor cursor = new(page.AsSpan(0, 16 + 11));
        Assert.True(cursor.IsMalformed);
        Assert.False(cursor.TryRead(out _));
    }

    [Fact]
    public void Events_before_a_fault_are_good()
    {
        Assert.Equal([(Start, 1)], Read(Page([.. Data(0, 1), .. Entry(28, 0), 1, 2, 3, 4]), out bool malformed));
        Assert.True(malformed);
    }

    [Fact]
    public void An_event_too_short_for_its_id_has_none()
    {
        Assert.Equal(0, new RingEvent { TimeStamp = 0, Payload = [7] }.Id);
    }

    [Fact]
    public void Walking_allocates_nothing()
    {
        byte[] page = Page([.. Enumerable.Range(0, 100).SelectMany(i => Data(1, i))]);
        int events = Walk(page);
        long before = GC.GetAllocatedBytesForCurrentThread();
        events += Walk(page);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(200, events);
    }

    private static int Walk(byte[] page)
    {
        int events = 0;
        EventCursor cursor = new(page);
        while (cursor.TryRead(out RingEvent ringEvent))
        {
            events += ringEvent.Payload.Length / 8;
        }
        return events;
    }

    private static List<(ulong, int)> Read(byte[] page, out bool malformed)
    {
        List<(ulong, int)> events = [];
        EventCursor cursor = new(page);
        while (cursor.TryRead(out RingEvent ringEvent))
        {
            events.Add((ringEvent.TimeStamp, ringEvent.Id));
        }
        malformed = cursor.IsMalformed;
        return events;
    }

    private static byte[] Page(byte[] data)
    {
        byte[] page = new byte[4096];
        BinaryPrimitives.WriteUInt64LittleEndian(page, Start);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), (ulong)data.Length);
        data.CopyTo(page, 16);
        return page;
    }

    private static byte[] Data(uint delta, int id) => [.. Entry(2, delta), .. BitConverter.GetBytes((ushort)id), .. new byte[6]];

    private static byte[] Entry(uint type, uint delta) => BitConverter.GetBytes((delta << 5) | type);
}
