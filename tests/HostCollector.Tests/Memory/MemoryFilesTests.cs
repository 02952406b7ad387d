using System.Buffers.Binary;
using System.Text;
using VsockPair.Memory;
using VsockPair.Watch;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>The three forms of a dump, each with the same pages: two neighbours, one alone far away, nothing between.</summary>
public sealed class MemoryFilesTests
{
    private const ulong Far = 70_000;

    private static readonly SortedDictionary<ulong, byte[]> Pages = new() { [0] = Page(1), [5] = Page(2), [6] = Noise(3), [Far] = Page(4) };

    private static readonly byte[] Notes = Note("VMCOREINFO", 0, Encoding.ASCII.GetBytes("OSRELEASE=6.99\n"));

    [Theory]
    [InlineData(nameof(MemoryFormat.Elf))]
    [InlineData(nameof(MemoryFormat.Kdump))]
    [InlineData(nameof(MemoryFormat.KdumpFlattened))]
    public void Gives_the_pages_that_are_there_and_the_notes(string format)
    {
        using MemoryFile memory = Open(Write(format));
        Assert.Equal(format, memory.Format.ToString());
        Assert.False(memory.IsTruncated);
        Assert.Equal(Notes, memory.Notes.Bytes.ToArray());
        Assert.True(VmcoreInfoSource.TryFind(memory, memory.Notes, [], out VmcoreInfo? info, out _));
        Assert.Equal("6.99", info.Release);
        // Twice, in another order: pages come out of caches as well.
        foreach (ulong page in (ulong[])[Far, 0, 5, 6, 6, 5, 0, Far])
        {
            byte[] found = new byte[100];
            Assert.True(memory.TryRead(page * 4096 + 17, found));
            Assert.Equal(Pages[page][17..117], found);
        }
        byte[] both = new byte[4096];
        Assert.True(memory.TryRead(5 * 4096 + 2048, both));
        Assert.Equal([.. Pages[5][2048..], .. Pages[6][..2048]], both);
    }

    [Theory]
    [InlineData(nameof(MemoryFormat.Elf))]
    [InlineData(nameof(MemoryFormat.Kdump))]
    [InlineData(nameof(MemoryFormat.KdumpFlattened))]
    public void Memory_that_is_not_there_is_not_made_up(string format)
    {
        using MemoryFile memory = Open(Write(format));
        foreach (ulong address in (ulong[])[4096, 4095, 4 * 4096, 7 * 4096 - 1, (Far + 1) * 4096, ulong.MaxValue, ulong.MaxValue - 4095, 1UL << 52])
        {
            Assert.False(memory.TryRead(address, new byte[2]), $"{address:x}");
        }
        Assert.False(memory.TryRead(6 * 4096, new byte[4097]));
    }

    [Theory]
    [InlineData(nameof(MemoryFormat.Elf))]
    [InlineData(nameof(MemoryFormat.Kdump))]
    [InlineData(nameof(MemoryFormat.KdumpFlattened))]
    public void A_file_that_was_cut_off_gives_what_is_left_of_it_or_the_reason(string format)
    {
        byte[] whole = Write(format);
        int opened = 0;
        for (int bytes = 0; bytes < whole.Length; bytes += 97)
        {
            if (!MemoryFiles.TryOpen(new MemoryBytes(whole[..bytes]), out MemoryFile? memory, out string? reason))
            {
                Assert.NotEqual("", reason);
                continue;
            }
            opened++;
            byte[] found = new byte[4096];
            foreach ((ulong page, byte[] content) in Pages)
            {
                Assert.True(!memory.TryRead(page * 4096, found) || found.AsSpan().SequenceEqual(content));
            }
        }
        // The small core's headers stand at its end.
        Assert.InRange(opened, format == nameof(MemoryFormat.Elf) ? 0 : 1, whole.Length / 97);
    }

    [Theory]
    [InlineData("", "too few")]
    [InlineData("\u007fELF\u0001\u0001", "not a 64-bit")]
    [InlineData("\u007fELF\u0002\u0001", "not a 64-bit")]
    [InlineData("KDUMP   \u0007", "version 7")]
    [InlineData("PMDM", "neither an ELF core nor kdump-compressed")]
    [InlineData("makedumpfile\0\0\0\0", "claims 0 bytes at offset 0")]
    public void Says_why_a_file_is_no_memory(string start, string reason)
    {
        byte[] file = start.Length == 0 ? [] : new byte[8192];
        Encoding.Latin1.GetBytes(start).CopyTo(file, 0);
        Assert.False(MemoryFiles.TryOpen(new MemoryBytes(file), out _, out string? found));
        Assert.Contains(reason, found, StringComparison.Ordinal);
    }

    [Fact]
    public void Records_of_a_flattened_dump_that_contradict_each_other_are_refused()
    {
        byte[] file = KdumpImage.Flattened(KdumpImage.Plain(Pages, Notes), 1000);
        BinaryPrimitives.WriteInt64BigEndian(file.AsSpan(4096), 999);
        Assert.False(MemoryFiles.TryOpen(new MemoryBytes(file), out _, out string? reason));
        Assert.Equal("a flattened dump with two records for offset 999", reason);
        BinaryPrimitives.WriteInt64BigEndian(file.AsSpan(4096), -2);
        Assert.False(MemoryFiles.TryOpen(new MemoryBytes(file), out _, out reason));
        Assert.Contains("at offset -2", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_stretches_of_a_core_that_overlap_the_one_that_begins_last_counts()
    {
        MemoryStream file = new();
        MiniCoreWriter writer = new(file);
        writer.Add(0x1000, new byte[0x3000]);
        writer.Add(0x2000, Page(7));
        writer.Finish([]);
        using MemoryFile memory = Open(file.ToArray());
        byte[] found = new byte[1];
        Assert.True(memory.TryRead(0x2000, found));
        Assert.Equal(Page(7)[0], found[0]);
        Assert.True(memory.TryRead(0x1FFF, found));
        Assert.Equal(0, found[0]);
    }

    internal static byte[] Note(string name, uint type, byte[] content)
    {
        byte[] named = [.. Encoding.ASCII.GetBytes(name), 0];
        byte[] note = new byte[12 + (named.Length + 3 & ~3) + (content.Length + 3 & ~3)];
        BinaryPrimitives.WriteInt32LittleEndian(note, named.Length);
        BinaryPrimitives.WriteInt32LittleEndian(note.AsSpan(4), content.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(8), type);
        named.CopyTo(note, 12);
        content.CopyTo(note, 12 + (named.Length + 3 & ~3));
        return note;
    }

    private static byte[] Write(string format)
    {
        byte[] plain = KdumpImage.Plain(Pages, Notes);
        switch (format)
        {
            case nameof(MemoryFormat.Kdump):
                return plain;
            case nameof(MemoryFormat.KdumpFlattened):
                return KdumpImage.Flattened(plain, 1000);
            default:
                MemoryStream file = new();
                MiniCoreWriter writer = new(file);
                foreach ((ulong page, byte[] content) in Pages.Reverse())
                {
                    writer.Add(page * 4096, content);
                }
                writer.Finish(Notes);
                return file.ToArray();
        }
    }

    private static MemoryFile Open(byte[] file)
    {
        Assert.True(MemoryFiles.TryOpen(new MemoryBytes(file), out MemoryFile? memory, out string? reason), reason);
        return memory;
    }

    private static byte[] Page(byte first) => [.. Enumerable.Range(0, 4096).Select(i => (byte)(first + i / 16))];

    private static byte[] Noise(int seed)
    {
        byte[] page = new byte[4096];
        new Random(seed).NextBytes(page);
        return page;
    }
}
