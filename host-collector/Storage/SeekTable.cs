using System.Buffers.Binary;

namespace VsockPair.Storage;

/// <summary>
/// Where the frames of a compressed segment lie: the last frame of zstd's seekable format (contrib/seekable_format of its sources), which every zstd skips. All frames
/// but the last hold equally much, so a slot's frame is found by a division.
/// </summary>
internal sealed class SeekTable
{
    /// <summary>Most content of a frame that is read: what a reader unpacks for one slot.</summary>
    public const int MaxContentBytes = 1 << 20;

    /// <summary>Content of a frame that is written, where a slot is not longer. 1 MiB would save 2 % of the disk, and cost a reader four times as much for a slot.</summary>
    private const int PreferredContentBytes = 256 << 10;

    public const int FooterBytes = 9;

    private const uint SkippableMagic = 0x184D2A5E;
    private const uint SeekableMagic = 0x8F92EAB1;
    private const int HeaderBytes = 8;
    private const int EntryBytes = 8;
    private const int EntryBytesWithChecksum = 12;
    private const byte ChecksumFlag = 0x80;

    private readonly List<(long Offset, int FrameBytes)> _frames = [];
    private long _end;
    private int _lastContentBytes;

    public int Frames => _frames.Count;

    /// <summary>Content of every frame but the last.</summary>
    public int ContentBytes { get; private set; }

    public long TotalContentBytes => Frames == 0 ? 0 : (long)(Frames - 1) * ContentBytes + _lastContentBytes;

    public (long Offset, int FrameBytes) Frame(int index) => _frames[index];

    public int ContentOf(int index) => index == Frames - 1 ? _lastContentBytes : ContentBytes;

    /// <summary>Content of a frame of whole slots.</summary>
    public static int ContentFor(int slotBytes) => Math.Max(PreferredContentBytes / slotBytes, 1) * slotBytes;

    public void Add(int frameBytes, int contentBytes)
    {
        ContentBytes = Frames == 0 ? contentBytes : ContentBytes;
        _frames.Add((_end, frameBytes));
        _end += frameBytes;
        _lastContentBytes = contentBytes;
    }

    /// <summary>The frame with the table itself.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[HeaderBytes + Frames * EntryBytes + FooterBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, SkippableMagic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), (uint)(bytes.Length - HeaderBytes));
        for (int i = 0; i < Frames; i++)
        {
            Span<byte> entry = bytes.AsSpan(HeaderBytes + i * EntryBytes);
            BinaryPrimitives.WriteUInt32LittleEndian(entry, (uint)_frames[i].FrameBytes);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], (uint)ContentOf(i));
        }
        Span<byte> footer = bytes.AsSpan(bytes.Length - FooterBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(footer, (uint)Frames);
        BinaryPrimitives.WriteUInt32LittleEndian(footer[5..], SeekableMagic);
        return bytes;
    }

    /// <summary>How long the table's frame is.</summary>
    /// <param name="footer">The last <see cref="FooterBytes"/> bytes of the file.</param>
    /// <exception cref="InvalidDataException">The file does not end in such a table, or it cannot be that long.</exception>
    public static int BytesOf(ReadOnlySpan<byte> footer, long fileBytes)
    {
        Require(BinaryPrimitives.ReadUInt32LittleEndian(footer[5..]) == SeekableMagic, "it does not end in a seek table");
        long bytes = HeaderBytes + BinaryPrimitives.ReadUInt32LittleEndian(footer) * (long)EntryBytesOf(footer[4]) + FooterBytes;
        Require(bytes <= fileBytes && bytes <= Array.MaxLength, "its seek table is longer than the file");
        return (int)bytes;
    }

    /// <param name="table">The whole frame.</param>
    /// <exception cref="InvalidDataException">It does not describe a file of so many bytes with whole slots.</exception>
    public static SeekTable Parse(ReadOnlySpan<byte> table, long fileBytes, int slotBytes)
    {
        ReadOnlySpan<byte> footer = table[^FooterBytes..];
        int entryBytes = EntryBytesOf(footer[4]);
        int frames = (table.Length - HeaderBytes - FooterBytes) / entryBytes;
        Require(
            BinaryPrimitives.ReadUInt32LittleEndian(table) == SkippableMagic && BinaryPrimitives.ReadUInt32LittleEndian(table[4..]) == table.Length - HeaderBytes,
            "its seek table has no valid header");
        SeekTable parsed = new();
        for (int i = 0; i < frames; i++)
        {
            ReadOnlySpan<byte> entry = table[(HeaderBytes + i * entryBytes)..];
            uint frame = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            uint content = BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
            Require(frame > 0 && frame <= fileBytes - table.Length - parsed._end, "its seek table leads out of the file");
            Require(content is > 0 and <= MaxContentBytes && content % slotBytes == 0, "its seek table has a frame of no whole slots");
            parsed.Add((int)frame, (int)content);
            Require(parsed.ContentBytes == content || (i == frames - 1 && content < parsed.ContentBytes), "its seek table has frames of different sizes");
        }
        Require(parsed._end == fileBytes - table.Length, "its seek table does not cover the file");
        return parsed;
    }

    private static int EntryBytesOf(byte descriptor)
    {
        Require((descriptor & ~ChecksumFlag) == 0, "its seek table is of an unknown kind");
        return (descriptor & ChecksumFlag) == 0 ? EntryBytes : EntryBytesWithChecksum;
    }

    private static void Require(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidDataException(otherwise);
        }
    }
}
