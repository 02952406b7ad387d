using System.Buffers.Binary;
using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.Shared.Tests;

public sealed class BulkRecordTests
{
    private const int SubBufferBytes = 4096;
    private const uint MissedStored = 1u << 30;
    private const uint MissedEvents = 1u << 31;

    [Fact]
    public void Sub_buffer_is_whole_at_its_last_byte()
    {
        byte[] record = SubBufferOf(100);
        for (int length = 0; length < record.Length; length++)
        {
            Assert.Equal(BulkRecordState.Incomplete, Take(record.AsSpan(0, length), out _, out _, out _));
        }
        Assert.Equal(BulkRecordState.Whole, Take([.. record, 1, 2, 3], out int prefix, out int bytes, out SubBuffer header));
        Assert.Equal((0, SubBufferBytes, 100), (prefix, bytes, header.DataBytes));
    }

    [Fact]
    public void Tail_is_whole_at_its_last_byte()
    {
        byte[] record = TailOf(announced: 16 + 40, commit: 40);
        for (int length = 0; length < record.Length; length++)
        {
            Assert.Equal(BulkRecordState.Incomplete, Take(record.AsSpan(0, length), out _, out _, out _));
        }
        Assert.Equal(BulkRecordState.Whole, Take(record, out int prefix, out int bytes, out SubBuffer header));
        Assert.Equal((BulkRecord.TailPrefixBytes, 56, 40), (prefix, bytes, header.DataBytes));
    }

    [Theory]
    [InlineData(0u, 0u, BulkRecordState.Malformed)]
    [InlineData(15u, 0u, BulkRecordState.Malformed)]
    [InlineData(16u, 0u, BulkRecordState.Whole)]
    [InlineData(16u, 1u, BulkRecordState.Malformed)]
    [InlineData(17u, 0u, BulkRecordState.Malformed)]
    [InlineData(24u, MissedStored | MissedEvents, BulkRecordState.Whole)]
    [InlineData(24u, MissedEvents | 8, BulkRecordState.Whole)]
    [InlineData(16u, MissedStored, BulkRecordState.Malformed)]
    [InlineData(4096u, 4080u, BulkRecordState.Whole)]
    [InlineData(4096u, 4072u | MissedStored, BulkRecordState.Whole)]
    [InlineData(4104u, 4080u | MissedStored, BulkRecordState.Malformed)]
    [InlineData(4097u, 4081u, BulkRecordState.Malformed)]
    [InlineData(0x80000000u, 0u, BulkRecordState.Malformed)]
    [InlineData(0xFFFFFFFFu, 0xFFFFFu, BulkRecordState.Malformed)]
    public void Length_of_a_tail_is_exactly_what_its_header_says(uint announced, uint commit, BulkRecordState expected) =>
        Assert.Equal(expected, Take(TailOf(announced, commit), out _, out _, out _));

    [Fact]
    public void Impossible_tail_is_refused_before_its_bytes_are_there()
    {
        Assert.Equal(BulkRecordState.Malformed, Take(TailOf(SubBufferBytes + 1, 0).AsSpan(0, BulkRecord.TailPrefixBytes), out _, out _, out _));
        Assert.Equal(BulkRecordState.Malformed, Take(TailOf(500, 3000).AsSpan(0, BulkRecord.TailPrefixBytes + SubBuffer.HeaderBytes), out _, out _, out _));
    }

    [Theory]
    [InlineData(4080u, BulkRecordState.Whole)]
    [InlineData(4072u | MissedStored, BulkRecordState.Whole)]
    [InlineData(4081u, BulkRecordState.Malformed)]
    [InlineData(4080u | MissedStored, BulkRecordState.Malformed)]
    [InlineData(0xFFFFFu, BulkRecordState.Malformed)]
    public void Events_lie_within_their_sub_buffer(uint commit, BulkRecordState expected) =>
        Assert.Equal(expected, Take(SubBufferOf(commit), out _, out _, out _));

    [Fact]
    public void Commit_field_is_cut_to_32_bits()
    {
        byte[] record = SubBufferOf(100 | MissedEvents);
        // Kernel 6.1 shows the field sign-extended.
        BinaryPrimitives.WriteUInt64LittleEndian(record.AsSpan(8), 0xFFFFFFFF_00000000 | 100 | MissedEvents);
        Assert.Equal(BulkRecordState.Whole, Take(record, out _, out _, out SubBuffer header));
        Assert.Equal((100, true, false), (header.DataBytes, header.Missed, header.HasLostCount));
    }

    [Fact]
    public void Stream_is_cut_the_same_however_it_arrives()
    {
        Random random = new(7);
        List<byte> stream = [];
        List<int> sizes = [];
        for (int i = 0; i < 200; i++)
        {
            int events = random.Next(1000) * 4;
            bool tail = random.Next(2) == 0;
            stream.AddRange(tail ? TailOf((uint)(16 + events), (uint)events) : SubBufferOf((uint)events));
            sizes.Add(tail ? 16 + events : SubBufferBytes);
        }
        byte[] bytes = [.. stream];
        List<int> found = [];
        int start = 0;
        for (int end = 0; end <= bytes.Length; end = Math.Min(end + random.Next(1, 9000), bytes.Length))
        {
            BulkRecordState state;
            while ((state = Take(bytes.AsSpan(start..end), out int prefix, out int length, out _)) == BulkRecordState.Whole)
            {
                found.Add(length);
                start += prefix + length;
            }
            Assert.Equal(BulkRecordState.Incomplete, state);
            if (end == bytes.Length)
            {
                break;
            }
        }
        Assert.Equal(sizes, found);
        Assert.Equal(bytes.Length, start);
    }

    [Fact]
    public void Noise_never_leads_out_of_what_was_received()
    {
        Random random = new(11);
        byte[] noise = new byte[SubBufferBytes + 64];
        for (int i = 0; i < 50_000; i++)
        {
            random.NextBytes(noise.AsSpan(0, 64));
            if (random.Next(2) == 0)
            {
                noise.AsSpan(0, 8).Fill(0xFF);
                BinaryPrimitives.WriteUInt32LittleEndian(noise.AsSpan(8), (uint)random.Next(5000));
            }
            ReadOnlySpan<byte> received = noise.AsSpan(0, random.Next(noise.Length));
            if (Take(received, out int prefix, out int bytes, out SubBuffer header) == BulkRecordState.Whole)
            {
                Assert.True(prefix + bytes <= received.Length && header.UsedBytes <= bytes);
            }
        }
    }

    private static BulkRecordState Take(ReadOnlySpan<byte> received, out int prefix, out int bytes, out SubBuffer header) =>
        BulkRecord.TryTake(received, SubBufferBytes, out prefix, out bytes, out header);

    private static byte[] SubBufferOf(uint commit)
    {
        byte[] record = new byte[SubBufferBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(record, 5_000_000_000);
        BinaryPrimitives.WriteUInt64LittleEndian(record.AsSpan(8), commit);
        return record;
    }

    private static byte[] TailOf(uint announced, uint commit)
    {
        byte[] record = new byte[BulkRecord.TailPrefixBytes + Math.Clamp(announced, SubBuffer.HeaderBytes, 2 * SubBufferBytes)];
        BulkRecord.WriteTailPrefix(record, (int)announced);
        SubBufferOf(commit).AsSpan(0, SubBuffer.HeaderBytes).CopyTo(record.AsSpan(BulkRecord.TailPrefixBytes));
        return record;
    }
}
