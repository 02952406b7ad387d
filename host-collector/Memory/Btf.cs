using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>
/// Reads BTF, the kernel's own description of its types (<c>/sys/kernel/btf/vmlinux</c>; layout: <c>include/uapi/linux/btf.h</c>). The bytes are the guest's: every
/// number is checked, every chain and nesting has an end. Keeps the file and one number for each type.
/// </summary>
internal sealed class Btf
{
    private const ushort Magic = 0xEB9F;
    private const int HeaderBytes = 24;
    private const int TypeBytes = 12;
    private const int MemberBytes = 12;
    private const int PointerBytes = 8;

    /// <summary>Debian's kernels have 110 000.</summary>
    private const int MostTypes = 1 << 20;

    /// <summary>typedef, const, volatile … of one type.</summary>
    private const int LongestChain = 32;
    private const int DeepestNesting = 16;

    /// <summary>Members looked at for one name: <c>task_struct</c> has 250, <c>page</c> 60 in nested unions. Without it nested structs of a hostile file would take for ever.</summary>
    private const int MostMembers = 1 << 16;

    private enum Kind
    {
        Int = 1,
        Pointer = 2,
        Array = 3,
        Struct = 4,
        Union = 5,
        Enum = 6,
        Forward = 7,
        Typedef = 8,
        Volatile = 9,
        Const = 10,
        Restrict = 11,
        Function = 12,
        FunctionPrototype = 13,
        Variable = 14,
        DataSection = 15,
        Float = 16,
        DeclarationTag = 17,
        TypeTag = 18,
        Enum64 = 19,
    }

    private readonly byte[] _file;

    /// <summary>Where each type's description begins; id 0 is void.</summary>
    private readonly int[] _types;
    private readonly int _strings;
    private readonly int _stringsEnd;

    private Btf(byte[] file, int[] types, int strings, int stringsEnd)
    {
        _file = file;
        _types = types;
        _strings = strings;
        _stringsEnd = stringsEnd;
    }

    /// <param name="fault">Why it is no BTF; empty when it is.</param>
    public static Btf? TryParse(byte[] file, out string fault)
    {
        fault = "it is no BTF of a little-endian kernel";
        if (file.Length < HeaderBytes || BinaryPrimitives.ReadUInt16LittleEndian(file) != Magic)
        {
            return null;
        }
        uint header = Word(file, 4);
        (long types, long typesEnd) = Section(header, Word(file, 8), Word(file, 12));
        (long strings, long stringsEnd) = Section(header, Word(file, 16), Word(file, 20));
        if (header < HeaderBytes || typesEnd > file.Length || stringsEnd > file.Length)
        {
            fault = "it is cut short";
            return null;
        }
        List<int> found = new((int)((typesEnd - types) / 24)) { 0 };
        for (long at = types; at < typesEnd;)
        {
            long length = typesEnd - at < TypeBytes ? 0 : LengthOf(Word(file, (int)at + 4));
            if (length == 0 || length > typesEnd - at || found.Count > MostTypes)
            {
                fault = $"its type {found.Count} cannot be";
                return null;
            }
            found.Add((int)at);
            at += length;
        }
        fault = "";
        return new Btf(file, [.. found], (int)strings, (int)stringsEnd);
    }

    /// <summary>Ids of the structs and unions of this name that have members: there may be several, of different parts of the kernel.</summary>
    public IEnumerable<int> Composites(byte[] name)
    {
        for (int id = 1; id < _types.Length; id++)
        {
            if (KindOf(id) is Kind.Struct or Kind.Union && NameIs(Word(_file, _types[id]), name))
            {
                yield return id;
            }
        }
    }

    /// <summary>Finds a member, also in the unnamed structs and unions of a type.</summary>
    /// <param name="id">Of a struct or union, or of what is one by another name.</param>
    public BtfMember? FindMember(int id, ReadOnlySpan<byte> name)
    {
        int budget = MostMembers;
        return Find(id, name, 0, 0, ref budget);
    }

    /// <summary>Bytes of a type; null when it has no size, or none that can be.</summary>
    public int? SizeOf(int id)
    {
        long count = 1;
        for (int step = 0; step < LongestChain; step++)
        {
            id = Resolve(id);
            switch (KindOf(id))
            {
                case Kind.Int or Kind.Struct or Kind.Union or Kind.Enum or Kind.Float or Kind.Enum64:
                    count *= Word(_file, _types[id] + 8);
                    return count <= int.MaxValue ? (int)count : null;
                case Kind.Pointer:
                    count *= PointerBytes;
                    return count <= int.MaxValue ? (int)count : null;
                case Kind.Array:
                    count *= Word(_file, _types[id] + TypeBytes + 8);
                    if (count > int.MaxValue)
                    {
                        return null;
                    }
                    id = IdOf(Word(_file, _types[id] + TypeBytes));
                    break;
                default:
                    return null;
            }
        }
        return null;
    }

    private BtfMember? Find(int id, ReadOnlySpan<byte> name, long offset, int depth, ref int budget)
    {
        id = Resolve(id);
        if (KindOf(id) is not (Kind.Struct or Kind.Union) || depth > DeepestNesting)
        {
            return null;
        }
        uint info = Word(_file, _types[id] + 4);
        bool hasBitFields = info >> 31 != 0;
        for (int i = 0; i < (int)(info & 0xFFFF) && budget-- > 0; i++)
        {
            int at = _types[id] + TypeBytes + i * MemberBytes;
            uint memberName = Word(_file, at);
            int type = IdOf(Word(_file, at + 4));
            uint position = Word(_file, at + 8);
            bool isBitField = hasBitFields && position >> 24 != 0;
            long bits = offset + (hasBitFields ? position & 0xFFFFFF : position);
            if (NameIs(memberName, name))
            {
                return isBitField || bits % 8 != 0 || bits / 8 > int.MaxValue ? null : new BtfMember((int)(bits / 8), type);
            }
            if (IsUnnamed(memberName) && Find(type, name, bits, depth + 1, ref budget) is BtfMember nested)
            {
                return nested;
            }
        }
        return null;
    }

    /// <summary>What a type is behind its other names and qualifiers; 0 when they never end.</summary>
    private int Resolve(int id)
    {
        for (int step = 0; step < LongestChain; step++)
        {
            if (KindOf(id) is not (Kind.Typedef or Kind.Volatile or Kind.Const or Kind.Restrict or Kind.TypeTag))
            {
                return id;
            }
            id = IdOf(Word(_file, _types[id] + 8));
        }
        return 0;
    }

    private Kind KindOf(int id) => id == 0 ? default : (Kind)((Word(_file, _types[id] + 4) >> 24) & 0x1F);

    private int IdOf(uint id) => id < _types.Length ? (int)id : 0;

    private bool NameIs(uint offset, ReadOnlySpan<byte> name)
    {
        long start = _strings + (long)offset;
        return start + name.Length < _stringsEnd && _file[start + name.Length] == 0 && _file.AsSpan((int)start, name.Length).SequenceEqual(name);
    }

    private bool IsUnnamed(uint offset) => NameIs(offset, default);

    private static (long Start, long End) Section(uint header, uint offset, uint length) => ((long)header + offset, (long)header + offset + length);

    /// <summary>Of a type's description; 0 for a kind that is not known, after which no other can be found.</summary>
    private static long LengthOf(uint info)
    {
        long count = info & 0xFFFF;
        return (Kind)((info >> 24) & 0x1F) switch
        {
            Kind.Int or Kind.Variable or Kind.DeclarationTag => TypeBytes + 4,
            Kind.Array => TypeBytes + 12,
            Kind.Struct or Kind.Union or Kind.DataSection or Kind.Enum64 => TypeBytes + 12 * count,
            Kind.Enum or Kind.FunctionPrototype => TypeBytes + 8 * count,
            Kind.Pointer or Kind.Forward or Kind.Typedef or Kind.Volatile or Kind.Const or Kind.Restrict or Kind.Function or Kind.Float or Kind.TypeTag => TypeBytes,
            _ => 0,
        };
    }

    private static uint Word(byte[] file, int at) => BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at));
}

/// <summary>A member of a struct or union.</summary>
/// <param name="Offset">In bytes.</param>
internal readonly record struct BtfMember(int Offset, int Type);
