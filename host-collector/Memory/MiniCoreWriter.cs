using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>
/// Writes those stretches of a guest's memory that were read into an ELF core: content as it comes, then notes and program headers, and the ELF header last, at the start:
/// until then the file is no core.
/// </summary>
internal sealed class MiniCoreWriter(Stream file)
{
    private const int DataAt = 4096;
    private const ushort CoreFile = 4;
    private const ushort X86 = 62;

    /// <summary>What <c>e_phnum</c> can count, without the notes. Stretches of 4 KiB in <see cref="MemoryServer.MaxBytes"/> are a quarter of it.</summary>
    private const int MaxExtents = 0xFFFD;

    private readonly List<Extent> _extents = [];
    private long _end = DataAt;

    public void Add(ulong address, ReadOnlySpan<byte> content)
    {
        file.Position = _end;
        file.Write(content);
        if (_extents.Count > 0 && _extents[^1].End == address)
        {
            _extents[^1] = _extents[^1] with { Bytes = _extents[^1].Bytes + (ulong)content.Length };
        }
        else
        {
            _extents.Add(new Extent(address, (ulong)content.Length, _end));
        }
        _end += content.Length;
    }

    public void Finish(ReadOnlySpan<byte> notes)
    {
        if (_extents.Count > MaxExtents)
        {
            throw new InvalidOperationException($"{_extents.Count} stretches of memory are more than an ELF core can hold");
        }
        byte[] headers = new byte[(_extents.Count + 1) * ElfCore.ProgramHeaderBytes];
        WriteProgramHeader(headers, ElfCore.Note, new Extent(0, (ulong)notes.Length, _end), flags: 0);
        _extents.Sort((a, b) => a.Address.CompareTo(b.Address));
        for (int i = 0; i < _extents.Count; i++)
        {
            WriteProgramHeader(headers.AsSpan((i + 1) * ElfCore.ProgramHeaderBytes), ElfCore.Load, _extents[i], flags: 4);
        }
        file.Position = _end;
        file.Write(notes);
        file.Write(headers);

        byte[] header = new byte[ElfCore.HeaderBytes];
        ElfCore.Magic.CopyTo(header);
        // 64 bits, little-endian, version 1.
        header[4] = 2;
        header[5] = 1;
        header[6] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(16), CoreFile);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(18), X86);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(20), 1);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(32), _end + notes.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(52), ElfCore.HeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(54), ElfCore.ProgramHeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(56), (ushort)(_extents.Count + 1));
        file.Position = 0;
        file.Write(header);
        file.Flush();
    }

    private static void WriteProgramHeader(Span<byte> target, uint type, Extent extent, uint flags)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, type);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], flags);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], extent.Place);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], extent.Address);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], extent.Bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(target[40..], type == ElfCore.Load ? extent.Bytes : 0);
    }
}
