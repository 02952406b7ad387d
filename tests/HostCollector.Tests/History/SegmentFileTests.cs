using VsockPair.History;
using VsockPair.HostCollector.Tests.Storage;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.Tracing;

namespace VsockPair.HostCollector.Tests.History;

public sealed class SegmentFileTests : IDisposable
{
    private const int SubBufferBytes = 16384;

    private readonly StoreFixture _fixture = new();

    [Fact]
    public async Task A_recording_reads_the_same_whether_its_segments_are_compressed_or_not()
    {
        ScriptedGuestRing ring = new(0, SubBufferBytes);
        VcpuStream stream = _fixture.BeginSession().Stream(0);
        stream.Settle(ring.Hello);
        for (int segment = 0; segment < 3; segment++)
        {
            StoreFixture.Append(stream, ring.TakeSubBuffers(50), SubBufferBytes);
            StoreFixture.Append(stream, ring.TakeTail(3), SubBufferBytes);
            stream.RotateOlderThan(TimeSpan.Zero);
        }
        StoreFixture.Append(stream, ring.TakeSubBuffers(5), SubBufferBytes);
        await _fixture.Store.Worker.FlushAsync();
        string folder = StorePaths.Vcpu(_fixture.BootFolder, 0);
        SegmentFile[] before = SegmentFile.FindAll(folder);
        List<byte[]> plain = [.. before.Select(ReadAll)];
        using ISegmentReader open = before[0].TryOpen()!;

        using SegmentCompression compression = new(_fixture.Store.Worker, () => { });
        foreach (SegmentFile closed in before[..3])
        {
            Assert.Equal(CompressionEnd.Done, compression.Run(_fixture.Guest, closed.FilePath));
        }
        Assert.Equal(before, SegmentFile.FindAll(folder));
        // What was found before is opened in its other form, what was open goes on.
        Assert.Equal(plain, before.Select(ReadAll));
        Assert.Equal(plain[0], ReadAll(open));
        using ISegmentReader second = before[1].TryOpen()!;
        Assert.IsType<CompressedReader>(second);
        for (long slot = 0; slot < second.Slots; slot++)
        {
            Assert.Equal(slot, second.SlotAt(second.HeaderOf(slot)!.Value.TimeStamp));
        }
        Assert.Equal(second.Slots - 1, second.SlotAt(ulong.MaxValue));
        byte[] part = new byte[20];
        Assert.Equal(part.Length, second.Read(7, SubBuffer.HeaderBytes, part));
        Assert.Equal(plain[1][(7 * SubBufferBytes + SubBuffer.HeaderBytes)..][..part.Length], part);

        // A damaged frame costs its own slots, 256 KiB of them, a damaged index the segment, and neither the stream.
        string compressed = SegmentForms.CompressedPath(before[1].FilePath);
        byte[] bytes = File.ReadAllBytes(compressed);
        bytes[100] ^= 1;
        File.WriteAllBytes(compressed, bytes);
        using (ISegmentReader damaged = before[1].TryOpen()!)
        {
            Assert.Null(damaged.HeaderOf(15));
            Assert.Equal(damaged.HeaderOf(16), new SubBuffer(plain[1].AsSpan(16 * SubBufferBytes)));
        }
        File.WriteAllBytes(compressed, bytes[..^1]);
        Assert.IsType<DamagedReader>(before[1].TryOpen());

        StoredFile.Delete(before[1].FilePath);
        Assert.Null(before[1].TryOpen());
        Assert.Equal([before[0], before[2], before[3]], SegmentFile.FindAll(folder));
    }

    public void Dispose() => _fixture.Dispose();

    private static byte[] ReadAll(SegmentFile file)
    {
        using ISegmentReader reader = file.TryOpen()!;
        return ReadAll(reader);
    }

    private static byte[] ReadAll(ISegmentReader reader)
    {
        byte[] all = new byte[reader.Slots * SubBufferBytes];
        for (long slot = 0; slot < reader.Slots; slot++)
        {
            Assert.Equal(SubBufferBytes, reader.Read(slot, 0, all.AsSpan((int)slot * SubBufferBytes, SubBufferBytes)));
        }
        return all;
    }
}
