using System.Buffers.Binary;
using System.Net.Sockets;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Tests;

/// <summary>The stages against a pipe that stands for trace_pipe_raw: like it, it gives whole sub-buffers and EAGAIN.</summary>
public sealed unsafe class RecordStageTests : IDisposable
{
    private const int Page = 4096;

    private readonly Fd _ring;
    private readonly Fd _writer;
    private readonly Socket _far;
    private readonly Socket _near;

    public RecordStageTests()
    {
        LinuxException.Check(Sys.Pipe(out int read, out int write), "pipe2", "test");
        (_ring, _writer) = (new Fd(read), new Fd(write));
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        string path = Path.Combine(Path.GetTempPath(), $"stage-{Guid.NewGuid():N}");
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        _near = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false, SendBufferSize = 1 << 20 };
        _near.Connect(new UnixDomainSocketEndPoint(path));
        _far = listener.Accept();
        File.Delete(path);
    }

    private int Socket => (int)_near.Handle;

    [Fact]
    public void Splice_moves_full_sub_buffers_unchanged()
    {
        using SpliceStage stage = new(_ring.Value, Page);
        byte[] written = [.. SubBuffer(1, Page - 16), .. SubBuffer(2, 3000)];
        Write(written);

        Assert.Equal(written.Length, stage.Fill());
        Assert.False(stage.IsEmpty);
        SendAll(stage, int.MaxValue);
        Assert.Equal(0, stage.Fill());
        Assert.Equal(written, Received(written.Length));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Capped_sends_never_exceed_the_cap(bool reads)
    {
        using RecordStage stage = reads ? new ReadStage(_ring.Value, Page) : new SpliceStage(_ring.Value, Page);
        byte[] written = [.. Enumerable.Range(0, 16).SelectMany(i => SubBuffer((ulong)i, Page - 16))];
        Write(written);

        Assert.Equal(written.Length, stage.Fill());
        List<int> sends = SendAll(stage, Wire.CappedSendBytes);
        Assert.All(sends, n => Assert.InRange(n, 1, Wire.CappedSendBytes));
        Assert.Equal(written, Received(written.Length));
    }

    [Fact]
    public void A_part_filled_sub_buffer_becomes_a_tail_of_its_used_bytes()
    {
        using SpliceStage stage = new(_ring.Value, Page);
        byte[] subBuffer = SubBuffer(7, 100);
        Write(subBuffer);

        Assert.Equal(12 + 116, stage.FillTail());
        SendAll(stage, int.MaxValue);

        byte[] tail = Received(12 + 116);
        Assert.Equal(BulkRecordState.Whole, BulkRecord.TryTake(tail, Page, out int prefix, out int bytes, out _));
        Assert.Equal((12, 116), (prefix, bytes));
        Assert.Equal(subBuffer[..116], tail[12..]);
        Assert.Equal(0, stage.FillTail());
    }

    [Fact]
    public void A_tail_carries_the_lost_count_behind_its_events()
    {
        using SpliceStage stage = new(_ring.Value, Page);
        // As 6.1 shows it: sign-extended, with both missed bits.
        byte[] subBuffer = SubBuffer(7, 100);
        BinaryPrimitives.WriteUInt64LittleEndian(subBuffer.AsSpan(8), 0xffffffff_c0000000 | 100);
        Write(subBuffer);

        Assert.Equal(12 + 116 + 8, stage.FillTail());
    }

    [Fact]
    public void Reading_sends_full_ones_as_they_are_and_ends_its_burst_with_the_tail()
    {
        using ReadStage stage = new(_ring.Value, Page);
        byte[] full = SubBuffer(1, Page - 16);
        byte[] part = SubBuffer(2, 40);
        Write([.. full, .. full, .. part, .. full]);

        Assert.Equal(2 * Page + 12 + 56, stage.Fill());
        Assert.False(stage.MayHaveMore);
        SendAll(stage, int.MaxValue);
        byte[] received = Received(2 * Page + 12 + 56);
        Assert.Equal(full, received[..Page]);
        Assert.Equal(part[..56], received[(2 * Page + 12)..]);

        Assert.Equal(Page, stage.Fill());
        SendAll(stage, int.MaxValue);
        Assert.Equal(0, stage.Fill());
    }

    [Fact]
    public void Reading_takes_at_most_64_kib_at_once_and_says_that_there_may_be_more()
    {
        using ReadStage stage = new(_ring.Value, Page);
        Write([.. Enumerable.Range(0, 16).SelectMany(i => SubBuffer((ulong)i, Page - 16))]);

        Assert.Equal(16 * Page, stage.Fill());
        Assert.True(stage.MayHaveMore);
    }

    [Fact]
    public void After_a_broken_connection_the_next_one_begins_with_a_whole_record()
    {
        using SpliceStage stage = new(_ring.Value, Page);
        Write(SubBuffer(1, Page - 16));
        Assert.Equal(Page, stage.Fill());
        Assert.Equal(1000, stage.Send(Socket, 1000));

        stage.Discard();
        Assert.True(stage.IsEmpty);
        Received(1000);

        byte[] next = SubBuffer(2, Page - 16);
        Write(next);
        Assert.Equal(Page, stage.Fill());
        SendAll(stage, int.MaxValue);
        Assert.Equal(next, Received(Page));
    }

    public void Dispose()
    {
        _ring.Dispose();
        _writer.Dispose();
        _near.Dispose();
        _far.Dispose();
    }

    private static byte[] SubBuffer(ulong time, int dataBytes)
    {
        byte[] bytes = new byte[Page];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, time);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), (ulong)dataBytes);
        new Random((int)time).NextBytes(bytes.AsSpan(16, dataBytes));
        return bytes;
    }

    private void Write(byte[] bytes)
    {
        fixed (byte* p = bytes)
        {
            Assert.Equal(bytes.Length, Sys.Write(_writer.Value, p, bytes.Length));
        }
    }

    private List<int> SendAll(RecordStage stage, int limit)
    {
        List<int> sends = [];
        while (!stage.IsEmpty)
        {
            int n = stage.Send(Socket, limit);
            Assert.True(n > 0, $"send answered {n}");
            sends.Add(n);
        }
        return sends;
    }

    private byte[] Received(int bytes)
    {
        byte[] all = new byte[bytes];
        for (int at = 0; at < bytes;)
        {
            at += _far.Receive(all.AsSpan(at));
        }
        Assert.Equal(0, _far.Available);
        return all;
    }
}
