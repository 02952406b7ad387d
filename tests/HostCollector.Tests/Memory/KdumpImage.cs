using System.Buffers.Binary;
using System.IO.Compression;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>Writes kdump-compressed files as QEMU's dump/dump.c does.</summary>
internal static class KdumpImage
{
    public const int PageBytes = 4096;

    private const int DescriptorBytes = 24;
    private const int SubHeaderAt = PageBytes;
    private const int NotesAt = SubHeaderAt + 104;
    private const int BitmapAt = 2 * PageBytes;

    /// <param name="pages">By page number.</param>
    public static byte[] Plain(SortedDictionary<ulong, byte[]> pages, byte[] notes)
    {
        Assert.InRange(notes.Length, 0, PageBytes - 104);
        ulong most = pages.Keys.Last() + 1;
        int bitmapBlocks = (int)((most + 8 * PageBytes - 1) / (8 * PageBytes));
        int descriptorsAt = BitmapAt + 2 * bitmapBlocks * PageBytes;
        using MemoryStream file = new();
        file.SetLength(descriptorsAt + (long)pages.Count * DescriptorBytes);
        byte[] header = new byte[2 * PageBytes];
        "KDUMP   "u8.CopyTo(header);
        Write32(header, 8, 6);
        Write32(header, 428, PageBytes);
        Write32(header, 432, 1);
        Write32(header, 436, (uint)(2 * bitmapBlocks));
        Write64(header, SubHeaderAt + 48, NotesAt);
        Write64(header, SubHeaderAt + 56, (ulong)notes.Length);
        Write64(header, SubHeaderAt + 96, most);
        notes.CopyTo(header, NotesAt);
        file.Write(header);
        byte[] bitmap = new byte[bitmapBlocks * PageBytes];
        foreach (ulong page in pages.Keys)
        {
            bitmap[page / 8] |= (byte)(1 << (int)(page % 8));
        }
        file.Write(bitmap);
        file.Write(bitmap);
        file.Position = file.Length;
        byte[] descriptors = new byte[pages.Count * DescriptorBytes];
        int at = 0;
        foreach (byte[] page in pages.Values)
        {
            using MemoryStream compressed = new();
            using (ZLibStream deflate = new(compressed, CompressionLevel.Fastest, leaveOpen: true))
            {
                deflate.Write(page);
            }
            bool isSmaller = compressed.Length < PageBytes;
            Write64(descriptors, at, (ulong)file.Position);
            Write32(descriptors, at + 8, isSmaller ? (uint)compressed.Length : PageBytes);
            Write32(descriptors, at + 12, isSmaller ? 1u : 0);
            file.Write(isSmaller ? compressed.ToArray() : page);
            at += DescriptorBytes;
        }
        file.Position = descriptorsAt;
        file.Write(descriptors);
        return file.ToArray();
    }

    /// <summary>The records not in the order of their offsets, of lengths that do not fit the pages.</summary>
    public static byte[] Flattened(byte[] plain, int recordBytes)
    {
        using MemoryStream file = new();
        byte[] header = new byte[PageBytes];
        "makedumpfile"u8.CopyTo(header);
        file.Write(header);
        int records = (plain.Length + recordBytes - 1) / recordBytes;
        for (int i = 0; i < records; i++)
        {
            // Neighbours in turned order; the last one may have none.
            int offset = ((i ^ 1) < records ? i ^ 1 : i) * recordBytes;
            int bytes = Math.Min(recordBytes, plain.Length - offset);
            WriteRecordHeader(file, offset, bytes);
            file.Write(plain, offset, bytes);
        }
        WriteRecordHeader(file, -1, -1);
        return file.ToArray();
    }

    private static void WriteRecordHeader(MemoryStream file, long offset, long bytes)
    {
        byte[] header = new byte[16];
        BinaryPrimitives.WriteInt64BigEndian(header, offset);
        BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(8), bytes);
        file.Write(header);
    }

    private static void Write32(byte[] target, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(target.AsSpan(at), value);

    private static void Write64(byte[] target, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(target.AsSpan(at), value);
}
