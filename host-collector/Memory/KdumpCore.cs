using System.Buffers.Binary;
using System.IO.Compression;
using VsockPair.Watch;

namespace VsockPair.Memory;

/// <summary>
/// A kdump-compressed file (QEMU include/sysemu/dump.h): a header, a sub header with the notes, two bitmaps of pages, a descriptor for each page of the second one, pages.
/// Pages that QEMU compressed with zlib are read; with lzo or snappy, only those that it could not compress.
/// </summary>
internal sealed class KdumpCore : MemoryFile
{
    private const int HeaderBytes = 464;
    private const int SubHeaderBytes = 104;
    private const int DescriptorBytes = 24;
    private const uint CompressedZlib = 1;
    private const uint CompressedOther = 0x2 | 0x4 | 0x20;

    /// <summary>Decompressed pages that were used last, by page number.</summary>
    private const int CachedPages = 512;

    private readonly KdumpBitmap _pages;
    private readonly long _descriptors;
    private readonly int _pageBytes;
    private readonly byte[] _compressed;
    private readonly (long Page, byte[]? Content)[] _cache = new (long, byte[]?)[CachedPages];

    private KdumpCore(IByteSource file, MemoryFormat format, KdumpBitmap pages, long descriptors, int pageBytes)
        : base(file)
    {
        Format = format;
        _pages = pages;
        _descriptors = descriptors;
        _pageBytes = pageBytes;
        _compressed = new byte[pageBytes];
    }

    public static ReadOnlySpan<byte> Magic => "KDUMP   "u8;

    public override MemoryFormat Format { get; }

    public static KdumpCore? TryOpen(IByteSource file, MemoryFormat format, out string? reason)
    {
        byte[] header = new byte[HeaderBytes];
        if (!file.TryRead(0, header) || !header.AsSpan().StartsWith(Magic))
        {
            reason = "a kdump-compressed file without its header";
            return null;
        }
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(8));
        uint pageBytes = BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(428));
        uint subHeaderBlocks = BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(432));
        uint bitmapBlocks = BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(436));
        if (version != 6 || pageBytes is not (4096 or 16384 or 65536))
        {
            reason = $"a kdump-compressed file of version {version} with pages of {pageBytes} bytes; version 6 is read, which QEMU writes";
            return null;
        }
        byte[] subHeader = new byte[SubHeaderBytes];
        if (!file.TryRead(pageBytes, subHeader))
        {
            reason = "a kdump-compressed file that ends before its sub header";
            return null;
        }
        ulong pages = BinaryPrimitives.ReadUInt64LittleEndian(subHeader.AsSpan(96));
        long bitmapBytes = (long)bitmapBlocks / 2 * pageBytes;
        long secondBitmap = (1L + subHeaderBlocks) * pageBytes + bitmapBytes;
        KdumpBitmap? bitmap = KdumpBitmap.TryOpen(file, secondBitmap, bitmapBytes, pages, out reason);
        if (bitmap is null)
        {
            return null;
        }
        long descriptors = secondBitmap + bitmapBytes;
        return new KdumpCore(file, format, bitmap, descriptors, (int)pageBytes)
        {
            Notes = ReadNotes(file, subHeader),
            IsTruncated = descriptors + bitmap.Count * DescriptorBytes > file.Length,
        };
    }

    public override bool TryRead(ulong address, Span<byte> target)
    {
        while (target.Length > 0)
        {
            int within = (int)(address % (ulong)_pageBytes);
            int count = Math.Min(target.Length, _pageBytes - within);
            if (!TryPage(address / (ulong)_pageBytes, out byte[]? page))
            {
                return false;
            }
            page.AsSpan(within, count).CopyTo(target);
            target = target[count..];
            address += (ulong)count;
        }
        return true;
    }

    /// <summary>QEMU puts the guest's note among the others, so the sub header's own place of VMCOREINFO says nothing more.</summary>
    private static CoreNotes ReadNotes(IByteSource file, byte[] subHeader)
    {
        long at = BinaryPrimitives.ReadInt64LittleEndian(subHeader.AsSpan(48));
        ulong bytes = BinaryPrimitives.ReadUInt64LittleEndian(subHeader.AsSpan(56));
        byte[] content = new byte[Math.Min(bytes, CoreNotes.MaxBytes)];
        return file.TryRead(at, content) ? CoreNotes.Parse(content) : CoreNotes.Empty;
    }

    private bool TryPage(ulong number, out byte[]? page)
    {
        ref (long Page, byte[]? Content) cached = ref _cache[number % CachedPages];
        if (cached.Content is not null && cached.Page == (long)number)
        {
            page = cached.Content;
            return true;
        }
        page = null;
        Span<byte> descriptor = stackalloc byte[DescriptorBytes];
        if (!_pages.TryIndexOf(number, out long index) || !File.TryRead(_descriptors + index * DescriptorBytes, descriptor))
        {
            return false;
        }
        long at = BinaryPrimitives.ReadInt64LittleEndian(descriptor);
        uint bytes = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[12..]);
        if (bytes == 0 || bytes > _pageBytes || (flags & CompressedOther) != 0 || !File.TryRead(at, _compressed.AsSpan(0, (int)bytes)))
        {
            return false;
        }
        byte[] content = cached.Content ?? new byte[_pageBytes];
        // A page that fails takes the place of none.
        cached.Content = null;
        if ((flags & CompressedZlib) != 0 ? !TryInflate((int)bytes, content) : !TryCopy((int)bytes, content))
        {
            return false;
        }
        cached = ((long)number, content);
        page = content;
        return true;
    }

    private bool TryCopy(int bytes, byte[] content)
    {
        _compressed.AsSpan(0, bytes).CopyTo(content);
        return bytes == _pageBytes;
    }

    private bool TryInflate(int bytes, byte[] content)
    {
        try
        {
            using ZLibStream inflate = new(new MemoryStream(_compressed, 0, bytes, writable: false), CompressionMode.Decompress);
            return inflate.ReadAtLeast(content, content.Length, throwOnEndOfStream: false) == content.Length;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }
}
