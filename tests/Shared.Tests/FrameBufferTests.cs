using System.Buffers.Binary;
using VsockPair.Protocol;

namespace VsockPair.Shared.Tests;

public sealed class FrameBufferTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(4096)]
    public void Frames_come_out_as_they_went_in_however_they_are_cut(int piece)
    {
        byte[][] frames = [.. ProtocolExamples.All.Where(e => e.Key != "tail").Select(e => e.Value.Bytes())];
        byte[] stream = [.. frames.SelectMany(f => f)];
        FrameBuffer buffer = new() { FrameLimit = Wire.MaxFrameBytes };
        List<byte[]> taken = [];
        for (int at = 0; at < stream.Length; at += piece)
        {
            Receive(buffer, stream.AsSpan(at, Math.Min(piece, stream.Length - at)));
            while (buffer.TryTake(out ReadOnlySpan<byte> body) == FrameState.Whole)
            {
                taken.Add(body.ToArray());
            }
        }
        Assert.Equal(frames.Select(f => f[Frame.PrefixBytes..]), taken);
    }

    [Fact]
    public void Peer_without_a_session_gets_no_more_than_a_hello()
    {
        FrameBuffer buffer = new();
        Receive(buffer, FrameOf(Wire.MaxHelloBytes + 1).AsSpan(0, Frame.PrefixBytes));
        Assert.Equal(FrameState.BadLength, buffer.TryTake(out _));
        buffer.FrameLimit = Wire.MaxFrameBytes;
        Assert.Equal(FrameState.Incomplete, buffer.TryTake(out _));
    }

    [Fact]
    public void There_is_room_for_the_largest_frame_wherever_it_begins()
    {
        FrameBuffer buffer = new() { FrameLimit = Wire.MaxFrameBytes };
        byte[] largest = FrameOf(Wire.MaxFrameBytes);
        Receive(buffer, [.. FrameOf(100), .. largest.AsSpan(0, 20_000)]);
        Assert.Equal(FrameState.Whole, buffer.TryTake(out _));
        int at = 20_000;
        FrameState state;
        while ((state = buffer.TryTake(out ReadOnlySpan<byte> body)) == FrameState.Incomplete)
        {
            Assert.True(buffer.Free.Length > 0 && at < largest.Length);
            Receive(buffer, largest.AsSpan(at++, 1));
        }
        Assert.Equal(FrameState.Whole, state);
        Assert.Equal(largest.Length, at);
    }

    private static byte[] FrameOf(int bytes)
    {
        byte[] frame = new byte[bytes];
        BinaryPrimitives.WriteUInt32LittleEndian(frame, (uint)(bytes - Frame.PrefixBytes));
        return frame;
    }

    private static void Receive(FrameBuffer buffer, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(buffer.Free.Span);
        buffer.Received(bytes.Length);
    }
}
