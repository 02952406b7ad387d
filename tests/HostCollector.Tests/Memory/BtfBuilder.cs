using System.Buffers.Binary;
using System.Text;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>Writes BTF by hand. A type may name one that comes later: ids count from 1 in the order in which types are added.</summary>
internal sealed class BtfBuilder
{
    private readonly List<byte> _types = [];
    private readonly List<byte> _names = [0];
    private int _count;

    public int Next => _count + 1;

    public int Number(string name, int bytes)
    {
        int id = Add(name, 1, 0, (uint)bytes);
        Word(0);
        return id;
    }

    public int Pointer(int type = 0) => Add("", 2, 0, (uint)type);

    public int Array(int type, int count)
    {
        int id = Add("", 3, 0, 0);
        Word((uint)type);
        Word((uint)type);
        Word((uint)count);
        return id;
    }

    public int Typedef(string name, int type) => Add(name, 8, 0, (uint)type);

    public int Volatile(int type) => Add("", 9, 0, (uint)type);

    public int Struct(string name, int bytes, params ReadOnlySpan<(string Name, int Type, int Offset)> members) => Composite(4, name, bytes, members);

    public int Union(string name, int bytes, params ReadOnlySpan<(string Name, int Type, int Offset)> members) => Composite(5, name, bytes, members);

    /// <param name="members">Bits: 0 for a whole one.</param>
    public int BitStruct(string name, int bytes, params ReadOnlySpan<(string Name, int Type, int BitOffset, int Bits)> members)
    {
        int id = Add(name, 4, 1u << 31 | (uint)members.Length, (uint)bytes);
        foreach ((string member, int type, int offset, int bits) in members)
        {
            Word(Name(member));
            Word((uint)type);
            Word((uint)bits << 24 | (uint)offset);
        }
        return id;
    }

    /// <summary>What no reader of ours asks for, and has to be stepped over.</summary>
    public void Others()
    {
        Add("fn", 12, 0, 1);
        Add("", 13, 2, 1);
        _types.AddRange(new byte[16]);
        Add("var", 14, 0, 1);
        Word(1);
        Add(".data", 15, 1, 8);
        _types.AddRange(new byte[12]);
        Add("e", 6, 1, 4);
        _types.AddRange(new byte[8]);
        Add("e64", 19, 1, 8);
        _types.AddRange(new byte[12]);
        Add("tag", 17, 0, 1);
        Word(0);
        Add("float", 16, 0, 4);
        Add("declared", 7, 0, 0);
    }

    public byte[] Build()
    {
        byte[] file = [.. new byte[24], .. _types, .. _names];
        BinaryPrimitives.WriteUInt16LittleEndian(file, 0xEB9F);
        file[2] = 1;
        uint[] header = [24, 0, (uint)_types.Count, (uint)_types.Count, (uint)_names.Count];
        for (int i = 0; i < header.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(4 + 4 * i), header[i]);
        }
        return file;
    }

    private int Composite(uint kind, string name, int bytes, ReadOnlySpan<(string Name, int Type, int Offset)> members)
    {
        int id = Add(name, kind, (uint)members.Length, (uint)bytes);
        foreach ((string member, int type, int offset) in members)
        {
            Word(Name(member));
            Word((uint)type);
            Word((uint)offset * 8);
        }
        return id;
    }

    private int Add(string name, uint kind, uint info, uint last)
    {
        Word(Name(name));
        Word(kind << 24 | info);
        Word(last);
        return ++_count;
    }

    private uint Name(string name)
    {
        if (name.Length == 0)
        {
            return 0;
        }
        uint at = (uint)_names.Count;
        _names.AddRange(Encoding.UTF8.GetBytes(name + '\0'));
        return at;
    }

    private void Word(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _types.AddRange(bytes);
    }
}
