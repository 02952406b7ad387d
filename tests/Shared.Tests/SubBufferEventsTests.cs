using System.Buffers.Binary;
using VsockPair.Tracing;

namespace VsockPair.Shared.Tests;

/// <summary>Events as <c>include/linux/ring_buffer.h</c> lays them out, and what no kernel writes.</summary>
public sealed class SubBufferEventsTests
{
    private const uint Padding = 29;
    private const uint TimeExtend = 30;
    private const uint TimeStamp = 31;

    [Fact]
    public void Nothing_is_no_event() => AssertCount([], 0, true);

    [Fact]
    public void Data_counts_whatever_its_length()
    {
        AssertCount([.. Short(1), .. Short(28), .. Long(4), .. Long(1000), .. Short(7)], 5, true);
    }

    [Fact]
    public void Time_stamps_and_discarded_events_do_not_count()
    {
        AssertCount([.. Entry(TimeExtend, 5), .. new byte[4], .. Short(2), .. Entry(TimeStamp, 5), .. new byte[4], .. Discarded(20), .. Short(2)], 2, true);
    }

    [Fact]
    public void Padding_without_a_delta_ends_the_sub_buffer()
    {
        AssertCount([.. Short(3), .. Entry(Padding, 0), 1, 2, 3], 1, true);
    }

    [Fact]
    public void Length_that_leads_out_is_a_fault_and_its_event_does_not_count()
    {
        AssertCount([.. Short(3), .. Short(3)[..12]], 1, false);
        AssertCount([.. Short(3), .. Long(8)[..8]], 1, false);
        AssertCount([.. Short(3), .. Discarded(8)[..8]], 1, false);
        AssertCount([.. Short(3), .. Entry(TimeExtend, 1)], 1, false);
        AssertCount([.. Short(3), .. Entry(0, 1)], 1, false);
        AssertCount([.. Short(3), .. Entry(0, 1), 0xFF, 0xFF, 0xFF, 0xFF], 1, false);
        AssertCount([.. Short(3), .. Entry(0, 1), 0xFC, 0xFF, 0xFF, 0x7F], 1, false);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    public void Length_that_would_not_lead_on_is_a_fault(uint length)
    {
        byte[] data = [.. Entry(0, 1), .. BitConverter.GetBytes(length), .. new byte[16]];
        AssertCount(data, 0, false);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Bytes_after_the_last_event_are_a_fault(int bytes) => AssertCount([.. Short(3), .. new byte[bytes]], 1, false);

    [Fact]
    public void Every_truncation_counts_no_more_than_the_whole()
    {
        byte[] data = [.. Short(1), .. Long(40), .. Entry(TimeExtend, 5), .. new byte[4], .. Discarded(12), .. Short(5)];
        for (int length = 0; length < data.Length; length++)
        {
            SubBufferEvents.TryCount(data.AsSpan(0, length), out int count);
            Assert.InRange(count, 0, 2);
        }
        AssertCount(data, 3, true);
    }

    [Fact]
    public void Noise_neither_throws_nor_counts_more_than_it_can_hold()
    {
        Random random = new(13);
        byte[] noise = new byte[4080];
        for (int i = 0; i < 50_000; i++)
        {
            Span<byte> data = noise.AsSpan(0, random.Next(i % 10 == 0 ? noise.Length : 64));
            random.NextBytes(data);
            SubBufferEvents.TryCount(data, out int count);
            // The smallest event has a header and one word.
            Assert.InRange(count, 0, data.Length / 8);
        }
    }

    private static void AssertCount(byte[] data, int expected, bool whole)
    {
        Assert.Equal(whole, SubBufferEvents.TryCount(data, out int count));
        Assert.Equal(expected, count);
    }

    private static byte[] Short(uint words) => [.. Entry(words, 7), .. new byte[words * 4]];

    /// <summary>The length word counts itself and the payload.</summary>
    private static byte[] Long(uint payload) => [.. Entry(0, 7), .. BitConverter.GetBytes(payload + 4), .. new byte[payload]];

    private static byte[] Discarded(uint payload) => [.. Entry(Padding, 7), .. BitConverter.GetBytes(payload + 4), .. new byte[payload]];

    private static byte[] Entry(uint type, uint delta)
    {
        byte[] entry = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(entry, (delta << 5) | type);
        return entry;
    }
}
