using System.Buffers.Binary;
using System.Text;

namespace VsockPair.Export;

/// <summary>
/// The container of trace.dat version 7 (<c>trace-cmd.dat.v7(5)</c>), little endian, uncompressed: a head, sections in any order, and options that say where they are.
/// Written in one pass but for two places that are filled in at the end, so the file must be one that can seek.
/// </summary>
internal sealed class TraceDatFile : IDisposable
{
    public const ushort HeaderInfo = 16;
    public const ushort FtraceFormats = 17;
    public const ushort EventFormats = 18;
    public const ushort Kallsyms = 19;
    public const ushort Printk = 20;
    public const ushort CommandLines = 21;

    private const ushort OptionsSection = 0;
    private const ushort BufferSection = 3;
    private const ushort OptionEnd = 0;
    private const int NoDescription = -1;
    private const int SectionHeadBytes = 16;
    private const int SizeInSectionHead = 8;
    private const int LongBytes = 8;

    private readonly Stream _file;
    private readonly long _optionsPlace;
    private readonly MemoryStream _options = new();
    private readonly byte[] _number = new byte[8];

    public TraceDatFile(Stream file, int subBufferBytes)
    {
        _file = file;
        _file.Write("\x17\x08\x44tracing7\0"u8);
        _file.WriteByte(0);
        _file.WriteByte(LongBytes);
        Write(_file, (uint)subBufferBytes);
        _file.Write("none\0\0"u8);
        _optionsPlace = _file.Position;
        Write(_file, 0UL);
    }

    /// <summary>A section of metadata, with the option of the same number that points at it.</summary>
    public void AddSection(ushort id, ReadOnlySpan<byte> body)
    {
        Span<byte> place = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(place, _file.Position);
        WriteSectionHead(id, (ulong)body.Length);
        _file.Write(body);
        AddOption(id, place);
    }

    public void AddOption(ushort id, ReadOnlySpan<byte> data)
    {
        Write(_options, id);
        Write(_options, (uint)data.Length);
        _options.Write(data);
    }

    public void AddOption(ushort id, string text) => AddOption(id, Encoding.UTF8.GetBytes(text.Replace('\0', ' ') + '\0'));

    /// <summary>Begins the section of the ring buffers: pages follow, each vCPU's at a multiple of their size.</summary>
    /// <returns>Where it begins.</returns>
    public long BeginBuffer()
    {
        long start = _file.Position;
        WriteSectionHead(BufferSection, 0);
        return start;
    }

    /// <param name="start">What <see cref="BeginBuffer"/> returned.</param>
    public void EndBuffer(long start)
    {
        long end = _file.Position;
        _file.Position = start + SizeInSectionHead;
        Write(_file, (ulong)(end - start - SectionHeadBytes));
        _file.Position = end;
    }

    /// <summary>Writes the options. Before this the file reads as empty.</summary>
    public void End()
    {
        Write(_options, OptionEnd);
        Write(_options, (uint)sizeof(ulong));
        Write(_options, 0UL);
        long start = _file.Position;
        WriteSectionHead(OptionsSection, (ulong)_options.Length);
        _options.WriteTo(_file);
        _file.Position = _optionsPlace;
        Write(_file, (ulong)start);
        _file.Position = _file.Length;
    }

    public void Write(Stream target, ushort number)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_number, number);
        target.Write(_number, 0, sizeof(ushort));
    }

    public void Write(Stream target, uint number)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_number, number);
        target.Write(_number, 0, sizeof(uint));
    }

    public void Write(Stream target, ulong number)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_number, number);
        target.Write(_number, 0, sizeof(ulong));
    }

    /// <summary>The file itself is its owner's.</summary>
    public void Dispose() => _options.Dispose();

    private void WriteSectionHead(ushort id, ulong bytes)
    {
        Write(_file, id);
        Write(_file, (ushort)0);
        Write(_file, unchecked((uint)NoDescription));
        Write(_file, bytes);
    }
}
