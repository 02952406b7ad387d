using System.Buffers.Binary;

namespace VsockPair.Decoding;

/// <summary>Where the bytes of a field are.</summary>
public enum FieldPlace
{
    /// <summary>At its offset.</summary>
    Fixed,

    /// <summary><c>__data_loc</c>: at its offset lies a u32 with length and offset of the bytes.</summary>
    DataLocation,

    /// <summary><c>__rel_loc</c>: the same, counted from the end of that u32.</summary>
    RelativeLocation,
}

/// <summary>
/// One field of an event, as a line of its format file describes it. Reading never leaves the payload: what a field's description or the payload's
/// own lengths place outside reads as zero or as empty.
/// </summary>
public sealed record FieldFormat
{
    public required string Name { get; init; }

    /// <summary>The C type, without the array's brackets.</summary>
    public required string Type { get; init; }

    public required int Offset { get; init; }

    /// <summary>Of the whole field; 0 when it reaches to the end of the payload.</summary>
    public required int Size { get; init; }

    public required bool IsSigned { get; init; }

    public required bool IsArray { get; init; }

    public required FieldPlace Place { get; init; }

    /// <summary>Of one element; of the field itself when it is no array.</summary>
    public required int ElementSize { get; init; }

    /// <summary>The format file of <c>common_type</c> and the like describes what every event of the kernel has.</summary>
    public bool IsCommon => Name.StartsWith("common_", StringComparison.Ordinal);

    /// <summary>Characters that end at the first zero byte.</summary>
    public bool IsText => IsArray && ElementSize == 1 && (Type.Contains("char", StringComparison.Ordinal) || Type is "u8" or "s8" or "__u8" or "__s8");

    public bool IsPointer => Type.EndsWith('*');

    /// <summary>Whether its type says long, of either length: often an address.</summary>
    public bool IsLong => Type.Contains("long", StringComparison.Ordinal);

    /// <summary>The value, sign-extended when the field is signed; 0 for what is no integer of 1, 2, 4 or 8 bytes inside the payload.</summary>
    public long Number(ReadOnlySpan<byte> payload) =>
        Place == FieldPlace.Fixed ? ReadInteger(Slice(payload, Offset, Size), IsSigned) : 0;

    /// <summary>The bytes of an array or a string, wherever they are.</summary>
    public ReadOnlySpan<byte> Bytes(ReadOnlySpan<byte> payload)
    {
        if (Place == FieldPlace.Fixed)
        {
            return Size == 0 ? Slice(payload, Offset, payload.Length - Offset) : Slice(payload, Offset, Size);
        }
        ReadOnlySpan<byte> location = Slice(payload, Offset, sizeof(uint));
        if (location.IsEmpty)
        {
            return default;
        }
        uint word = BinaryPrimitives.ReadUInt32LittleEndian(location);
        int from = (int)(word & 0xFFFF) + (Place == FieldPlace.RelativeLocation ? Offset + sizeof(uint) : 0);
        return Slice(payload, from, (int)(word >> 16));
    }

    /// <summary>A string up to its zero byte.</summary>
    public ReadOnlySpan<byte> Text(ReadOnlySpan<byte> payload)
    {
        ReadOnlySpan<byte> bytes = Bytes(payload);
        int end = bytes.IndexOf((byte)0);
        return end < 0 ? bytes : bytes[..end];
    }

    internal static long ReadInteger(ReadOnlySpan<byte> bytes, bool isSigned) => bytes.Length switch
    {
        1 => isSigned ? (sbyte)bytes[0] : bytes[0],
        2 => isSigned ? BinaryPrimitives.ReadInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        4 => isSigned ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        8 => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        _ => 0,
    };

    private static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> payload, int offset, int size) =>
        (uint)offset <= (uint)payload.Length && (uint)size <= (uint)(payload.Length - offset) ? payload.Slice(offset, size) : default;
}
