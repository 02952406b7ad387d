using System.Buffers.Binary;
using VsockPair.Watch;

namespace VsockPair.Memory;

/// <summary>An ELF core of physical memory, as <c>dump-guest-memory</c> without paging writes it, and as our own small ones are: <c>p_paddr</c> is what counts.</summary>
internal sealed class ElfCore : MemoryFile
{
    public const int HeaderBytes = 64;
    public const int ProgramHeaderBytes = 56;

    private const int Class64 = 2;
    private const int LittleEndian = 1;
    private const int TypeCore = 4;

    /// <summary><c>PN_XNUM</c>: the count stands elsewhere. QEMU writes so many only with paging, which is never asked for.</summary>
    private const int TooManyHeaders = 0xFFFF;

    public const uint Load = 1;
    public const uint Note = 4;

    private readonly Extents _segments;

    private ElfCore(IByteSource file, Extents segments)
        : base(file)
    {
        _segments = segments;
    }

    public static ReadOnlySpan<byte> Magic => "\u007fELF"u8;

    public override MemoryFormat Format => MemoryFormat.Elf;

    public static ElfCore? TryOpen(IByteSource file, out string? reason)
    {
        byte[] header = new byte[HeaderBytes];
        if (!file.TryRead(0, header))
        {
            reason = $"an ELF file of {file.Length} bytes";
            return null;
        }
        if (header[4] != Class64 || header[5] != LittleEndian || BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(16)) != TypeCore)
        {
            reason = "an ELF file, but not a 64-bit little-endian core";
            return null;
        }
        long table = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32));
        int entryBytes = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(54));
        int count = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(56));
        if (entryBytes != ProgramHeaderBytes || count == TooManyHeaders)
        {
            reason = $"an ELF core with {(count == TooManyHeaders ? "more program headers than 65534" : $"program headers of {entryBytes} bytes")}";
            return null;
        }
        byte[] headers = new byte[count * ProgramHeaderBytes];
        if (!file.TryRead(table, headers))
        {
            reason = "an ELF core that ends before its program headers";
            return null;
        }
        return Read(file, headers, out reason);
    }

    public override bool TryRead(ulong address, Span<byte> target) => _segments.TryRead(File, address, target);

    private static ElfCore? Read(IByteSource file, byte[] headers, out string? reason)
    {
        List<Extent> segments = [];
        bool truncated = false;
        CoreNotes notes = CoreNotes.Empty;
        for (int at = 0; at < headers.Length; at += ProgramHeaderBytes)
        {
            ReadOnlySpan<byte> entry = headers.AsSpan(at, ProgramHeaderBytes);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            ulong fileOffset = BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]);
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(entry[24..]);
            ulong bytes = BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]);
            if (type is not (Load or Note) || bytes == 0)
            {
                continue;
            }
            ulong there = fileOffset > (ulong)file.Length ? 0 : Math.Min(bytes, (ulong)file.Length - fileOffset);
            truncated |= there < bytes;
            if (type == Note && notes.All.Count == 0)
            {
                byte[] content = new byte[Math.Min(there, CoreNotes.MaxBytes)];
                notes = file.TryRead((long)fileOffset, content) ? CoreNotes.Parse(content) : notes;
            }
            else if (type == Load && there > 0 && address <= ulong.MaxValue - there)
            {
                segments.Add(new Extent(address, there, (long)fileOffset));
            }
        }
        if (segments.Count == 0)
        {
            reason = "an ELF core without memory";
            return null;
        }
        reason = null;
        return new ElfCore(file, new Extents(segments)) { Notes = notes, IsTruncated = truncated };
    }
}
