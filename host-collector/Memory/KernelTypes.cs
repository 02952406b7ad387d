using System.Buffers.Binary;
using System.Text;

namespace VsockPair.Memory;

/// <summary>Where the members of the kernel's structs lie, out of its BTF.</summary>
internal sealed class KernelTypes
{
    private readonly Btf _btf;

    private KernelTypes(Btf btf) => _btf = btf;

    /// <param name="btf">The stored file <c>btf</c>.</param>
    /// <param name="fault">Why it cannot be used; empty when it can.</param>
    public static KernelTypes? TryParse(byte[] btf, out string fault) => Btf.TryParse(btf, out fault) is Btf parsed ? new KernelTypes(parsed) : null;

    /// <param name="path">A member, or one of a member's own: <c>array_buffer.buffer</c>. Unnamed structs and unions are looked through.</param>
    /// <returns>Null when there is none, when it is a bit field, and when structs of that name differ in it.</returns>
    public KernelMember? Find(string type, string path)
    {
        KernelMember? found = null;
        foreach (int id in _btf.Composites(Encoding.UTF8.GetBytes(type)))
        {
            if (Find(id, path) is not KernelMember member)
            {
                continue;
            }
            if (found is not null && found != member)
            {
                return null;
            }
            found = member;
        }
        return found;
    }

    public int? OffsetOf(string type, string path) => Find(type, path)?.Offset;

    /// <summary>Null when there is none, and when structs of that name differ in size.</summary>
    public int? SizeOf(string type)
    {
        int?[] sizes = [.. _btf.Composites(Encoding.UTF8.GetBytes(type)).Select(_btf.SizeOf).Distinct()];
        return sizes.Length == 1 ? sizes[0] : null;
    }

    private KernelMember? Find(int id, string path)
    {
        long offset = 0;
        foreach (string name in path.Split('.'))
        {
            if (_btf.FindMember(id, Encoding.UTF8.GetBytes(name)) is not BtfMember member)
            {
                return null;
            }
            offset += member.Offset;
            id = member.Type;
        }
        return offset <= int.MaxValue && _btf.SizeOf(id) is int size ? new KernelMember((int)offset, size) : null;
    }
}

/// <summary>In bytes.</summary>
internal readonly record struct KernelMember(int Offset, int Size)
{
    public int End => Offset + Size;

    /// <summary>Its value in a struct that was read: a number of 4 or 8 bytes.</summary>
    public ulong In(ReadOnlySpan<byte> bytes) => Size == sizeof(ulong) ? BinaryPrimitives.ReadUInt64LittleEndian(bytes[Offset..]) : BinaryPrimitives.ReadUInt32LittleEndian(bytes[Offset..]);
}
