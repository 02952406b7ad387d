using System.Buffers.Binary;

namespace VsockPair.Cases;

/// <summary>
/// The GNU build-id of an ELF file of 64 bits, little endian: an executable, or one that holds debug information alone, in which only the section headers still say where the
/// note is. A file that is anything else has none.
/// </summary>
internal static class BuildIdNote
{
    private const int HeaderBytes = 64;
    private const int SectionHeaderBytes = 64;
    private const int ProgramHeaderBytes = 56;
    private const uint PT_NOTE = 4;
    private const uint SHT_NOTE = 7;
    private const uint NT_GNU_BUILD_ID = 3;

    /// <summary>More than any kernel's notes take.</summary>
    private const int MaxNoteBytes = 1 << 20;
    private const int MaxHeaders = 4096;
    private const int MaxIdBytes = 32;

    /// <summary>Whether this is a build-id as it may become part of a path: what a guest claims to be one is not always.</summary>
    public static bool IsBuildId(string? text) => text is { Length: >= 8 and <= 2 * MaxIdBytes } && text.Length % 2 == 0 && text.All(char.IsAsciiHexDigitLower);

    /// <returns>Lower-case hex; null when the file has none, or cannot be read.</returns>
    public static string? TryRead(string path)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1);
            return TryRead(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next place may have it.
            return null;
        }
    }

    public static string? TryRead(Stream file)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (!TryReadAt(file, 0, header) || !header[..6].SequenceEqual("\u007fELF\u0002\u0001"u8))
        {
            return null;
        }
        return Search(
                file, BinaryPrimitives.ReadInt64LittleEndian(header[40..]), BinaryPrimitives.ReadUInt16LittleEndian(header[60..]), SectionHeaderBytes,
                type: 4, noteType: SHT_NOTE, offset: 24, size: 32)
            ?? Search(
                file, BinaryPrimitives.ReadInt64LittleEndian(header[32..]), BinaryPrimitives.ReadUInt16LittleEndian(header[56..]), ProgramHeaderBytes,
                type: 0, noteType: PT_NOTE, offset: 8, size: 32);
    }

    /// <param name="type">Where in one header of the table its type stands; the other places likewise.</param>
    private static string? Search(Stream file, long table, int count, int headerBytes, int type, uint noteType, int offset, int size)
    {
        Span<byte> header = stackalloc byte[SectionHeaderBytes];
        header = header[..headerBytes];
        for (int i = 0; i < Math.Min(count, MaxHeaders); i++)
        {
            if (!TryReadAt(file, table + (long)i * headerBytes, header))
            {
                return null;
            }
            ulong bytes = BinaryPrimitives.ReadUInt64LittleEndian(header[size..]);
            if (BinaryPrimitives.ReadUInt32LittleEndian(header[type..]) != noteType || bytes > MaxNoteBytes)
            {
                continue;
            }
            byte[] notes = new byte[(int)bytes];
            if (TryReadAt(file, BinaryPrimitives.ReadInt64LittleEndian(header[offset..]), notes) && Find(notes) is string id)
            {
                return id;
            }
        }
        return null;
    }

    /// <summary>The kernel's own file <c>/sys/kernel/notes</c> looks like this too.</summary>
    private static string? Find(ReadOnlySpan<byte> notes)
    {
        const int NoteHeaderBytes = 12;
        while (notes.Length > NoteHeaderBytes)
        {
            uint nameBytes = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            uint valueBytes = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]);
            long value = NoteHeaderBytes + Aligned(nameBytes);
            long next = value + Aligned(valueBytes);
            if (value + valueBytes > notes.Length)
            {
                return null;
            }
            if (type == NT_GNU_BUILD_ID && valueBytes <= MaxIdBytes && notes.Slice(NoteHeaderBytes, (int)nameBytes).SequenceEqual("GNU\0"u8))
            {
                return Convert.ToHexStringLower(notes.Slice((int)value, (int)valueBytes));
            }
            if (next >= notes.Length)
            {
                return null;
            }
            notes = notes[(int)next..];
        }
        return null;
    }

    private static long Aligned(uint bytes) => (bytes + 3L) & ~3L;

    private static bool TryReadAt(Stream file, long at, Span<byte> target)
    {
        if (at < 0 || at > file.Length - target.Length)
        {
            return false;
        }
        file.Position = at;
        return file.ReadAtLeast(target, target.Length, throwOnEndOfStream: false) == target.Length;
    }
}
