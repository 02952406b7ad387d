using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>
/// What <c>read-memory</c> asks of <c>watch</c>, 12 bytes: u64 address, u32 length; whole pages, 1 MiB at most; length 0: it has all it needs. The answer is one byte, 1 and then
/// the memory, or 0 when there is none. Before the first request <c>watch</c> sends u32 length and the ELF notes. Numbers are little-endian.
/// </summary>
internal readonly record struct MemoryRequest(ulong Address, uint Length)
{
    public const int Bytes = 12;
    public const int PageBytes = 4096;
    public const int MaxLength = 1 << 20;
    public const byte IsThere = 1;
    public const byte IsNotThere = 0;

    public bool IsEnd => Length == 0;

    public bool IsValid => Length is > 0 and <= MaxLength && Length % PageBytes == 0 && Address % PageBytes == 0 && Address <= ulong.MaxValue - Length;

    public static MemoryRequest Read(ReadOnlySpan<byte> bytes) => new(BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]));

    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Address);
        BinaryPrimitives.WriteUInt32LittleEndian(target[8..], Length);
    }
}
