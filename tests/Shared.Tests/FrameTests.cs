using System.Buffers.Binary;
using System.Text;
using VsockPair.Protocol;

namespace VsockPair.Shared.Tests;

/// <summary>Lengths and limits of frames, and of the elements in them.</summary>
public sealed class FrameTests
{
    [Theory]
    [InlineData(0u, FrameState.BadLength)]
    [InlineData(1u, FrameState.Whole)]
    [InlineData(96u, FrameState.Whole)]
    [InlineData(97u, FrameState.BadLength)]
    [InlineData(0x7FFFFFFFu, FrameState.BadLength)]
    [InlineData(0x80000000u, FrameState.BadLength)]
    [InlineData(0xFFFFFFFFu, FrameState.BadLength)]
    public void Length_is_judged_before_the_body_is_there(uint length, FrameState expected)
    {
        byte[] received = new byte[200];
        BinaryPrimitives.WriteUInt32LittleEndian(received, length);
        Assert.Equal(expected, Frame.TryTake(received, limit: 100, out ReadOnlySpan<byte> body));
        Assert.Equal(expected == FrameState.Whole ? (int)length : 0, body.Length);
        Assert.Equal(expected == FrameState.BadLength ? expected : FrameState.Incomplete, Frame.TryTake(received.AsSpan(0, Frame.PrefixBytes), limit: 100, out _));
    }

    [Fact]
    public void Every_part_of_a_frame_is_incomplete()
    {
        byte[] frame = Encode(new Heartbeat(7));
        for (int length = 0; length < frame.Length; length++)
        {
            Assert.Equal(FrameState.Incomplete, Frame.TryTake(frame.AsSpan(0, length), Wire.MaxFrameBytes, out _));
        }
        Assert.Equal(FrameState.Whole, Frame.TryTake(frame, Wire.MaxFrameBytes, out _));
    }

    [Theory]
    [InlineData("ddffffffff")]
    [InlineData("dd7fffffff01")]
    [InlineData("dcffff01")]
    [InlineData("c6ffffffff")]
    [InlineData("c67fffffff00")]
    [InlineData("dbffffffff")]
    [InlineData("db7fffffff61")]
    [InlineData("c5ffff00")]
    [InlineData("d9ff61")]
    public void Lying_length_is_refused_without_allocation(string hex)
    {
        byte[] bytes = Convert.FromHexString(hex);
        Assert.False(ReadsAnything(bytes));
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool read = ReadsAnything(bytes);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.False(read);
    }

    [Theory]
    [InlineData("cc80", 127, false)]
    [InlineData("7f", 127, true)]
    [InlineData("ff", 127, false)]
    [InlineData("d1ffff", int.MaxValue, false)]
    [InlineData("ce7fffffff", int.MaxValue, true)]
    [InlineData("ce80000000", int.MaxValue, false)]
    [InlineData("cf0000000000000005", 5, true)]
    [InlineData("cf0000000100000000", int.MaxValue, false)]
    [InlineData("c0", int.MaxValue, false)]
    [InlineData("a0", int.MaxValue, false)]
    [InlineData("ca3f800000", int.MaxValue, false)]
    public void Numbers_come_in_any_width_but_not_out_of_range(string hex, int largest, bool expected) =>
        Assert.Equal(expected, new FrameReader(Convert.FromHexString(hex)).TryRead(largest, out int _));

    [Fact]
    public void Signed_numbers_end_where_64_bits_do()
    {
        Assert.False(new FrameReader(Convert.FromHexString("cf8000000000000000")).TryRead(out long _));
        Assert.True(new FrameReader(Convert.FromHexString("cf7fffffffffffffff")).TryRead(out long largest));
        Assert.Equal(long.MaxValue, largest);
        Assert.True(new FrameReader(Convert.FromHexString("d38000000000000000")).TryRead(out long smallest));
        Assert.Equal(long.MinValue, smallest);
        Assert.False(new FrameReader(Convert.FromHexString("d38000000000000000")).TryRead(out ulong _));
    }

    [Fact]
    public void Text_ends_at_its_limit()
    {
        Assert.True(RoundTrips(new string('a', Wire.MaxStringBytes), out string longest));
        Assert.Equal(Wire.MaxStringBytes, longest.Length);
        Assert.True(RoundTrips(new string('é', Wire.MaxStringBytes), out string cut));
        Assert.Equal(new string('é', Wire.MaxStringBytes / 2), cut);
        Assert.True(RoundTrips("a" + string.Concat(Enumerable.Repeat("🦀", 300)), out string whole));
        Assert.Equal("a" + string.Concat(Enumerable.Repeat("🦀", (Wire.MaxStringBytes - 1) / 4)), whole);

        byte[] tooLong = [0x92, 0x0D, 0xDA, 0x04, 0x01, .. new byte[Wire.MaxStringBytes + 1]];
        Assert.False(Frame.TryDecode(tooLong, out Stop _));
    }

    [Fact]
    public void Text_that_is_no_utf8_is_read_without_an_exception()
    {
        Assert.True(Frame.TryDecode([0x92, 0x0D, 0xA2, 0xFF, 0x61], out Stop stop));
        Assert.Equal("\ufffda", stop.Reason);
    }

    [Fact]
    public void Notes_end_at_their_limit()
    {
        Assert.True(Frame.TryDecode(HelloWithNotes(Wire.MaxNotes), out Hello hello));
        Assert.Equal(Wire.MaxNotes, hello.Control.Notes.Count);
        Assert.False(Frame.TryDecode(HelloWithNotes(Wire.MaxNotes + 1), out Hello _));
    }

    [Fact]
    public void Largest_messages_fit_into_a_frame_and_larger_ones_are_refused()
    {
        byte[] buffer = new byte[Wire.MaxFrameBytes];
        int length = new FileChunk(uint.MaxValue, long.MaxValue, new byte[Wire.MaxFileChunkBytes]).Encode(buffer);
        Assert.True(FileChunk.TryDecode(buffer.AsSpan(Frame.PrefixBytes..length), out FileChunk chunk));
        Assert.Equal(Wire.MaxFileChunkBytes, chunk.Bytes.Length);
        length = KmsgRecords.Encode(new byte[Wire.MaxKmsgBatchBytes], buffer);
        Assert.True(KmsgRecords.TryDecode(buffer.AsSpan(Frame.PrefixBytes..length), out _));

        length = new FileChunk(1, 0, new byte[Wire.MaxFileChunkBytes + 1]).Encode(buffer);
        Assert.False(FileChunk.TryDecode(buffer.AsSpan(Frame.PrefixBytes..length), out _));
        length = KmsgRecords.Encode(new byte[Wire.MaxKmsgBatchBytes + 1], buffer);
        Assert.False(KmsgRecords.TryDecode(buffer.AsSpan(Frame.PrefixBytes..length), out _));
        length = KmsgRecords.Encode([], buffer);
        Assert.False(KmsgRecords.TryDecode(buffer.AsSpan(Frame.PrefixBytes..length), out _));
    }

    [Fact]
    public void Writer_refuses_what_does_not_fit()
    {
        Assert.Throws<InvalidOperationException>(() => KmsgRecords.Encode(new byte[Wire.MaxFrameBytes], new byte[2 * Wire.MaxFrameBytes]));
        Assert.Throws<InvalidOperationException>(() => Frame.Encode(new Stop("too long for it"), new byte[12]));
    }

    private static bool ReadsAnything(byte[] bytes) =>
        new FrameReader(bytes).TryReadArrayHeader(int.MaxValue, out _) || new FrameReader(bytes).TryReadBytes(int.MaxValue, out _)
        || new FrameReader(bytes).TryRead(out string _) || new FrameReader(bytes).TryRead(out Guid _) || new FrameReader(bytes).TryReadType(out _, out _);

    private static bool RoundTrips(string text, out string read)
    {
        bool decoded = Frame.TryDecode(Encode(new Stop(text)).AsSpan(Frame.PrefixBytes), out Stop stop);
        read = stop.Reason;
        Assert.True(Encoding.UTF8.GetByteCount(read) <= Wire.MaxStringBytes);
        return decoded;
    }

    private static byte[] HelloWithNotes(int count)
    {
        Hello hello = new()
        {
            OldestVersion = 1, NewestVersion = 1, Kind = ConnectionKind.Control, BootId = Guid.NewGuid(),
            Control = new ControlHello
            {
                AgentVersion = "", KernelRelease = "", KernelVersion = "", Machine = "", NodeName = "", TraceClock = "", Notes = [.. Enumerable.Repeat("n", count)],
            },
        };
        return Encode(hello)[Frame.PrefixBytes..];
    }

    private static byte[] Encode<T>(T message)
        where T : struct, IMessage<T>
    {
        byte[] buffer = new byte[Wire.MaxFrameBytes];
        return buffer[..Frame.Encode(message, buffer)];
    }
}
