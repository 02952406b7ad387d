using System.Buffers.Binary;
using System.Text;
using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>A guest's memory made by hand: page tables that map all of it once, where the kernel's image is, and room to lay structs out in.</summary>
internal sealed class FakeKernel : IPhysicalMemory
{
    public const ulong Base = 0xFFFF_FFFF_8000_0000;
    private const int TableAt = 0x1000;
    private const int UpperTableAt = 0x2000;

    private int _free = 0x4000;
    private readonly HashSet<ulong> _holes = [];

    public FakeKernel(int bytes)
    {
        Bytes = new byte[bytes];
        // Entry 511 of the top table, entry 510 of the one below: a page of 1 GiB.
        BinaryPrimitives.WriteUInt64LittleEndian(Bytes.AsSpan(TableAt + 511 * 8), UpperTableAt | 1);
        BinaryPrimitives.WriteUInt64LittleEndian(Bytes.AsSpan(UpperTableAt + 510 * 8), 1 << 7 | 1);
        Assert.True(VmcoreInfo.TryParse(
            Encoding.ASCII.GetBytes($"OSRELEASE=6.1.0\nNUMBER(phys_base)=0\nSYMBOL(swapper_pg_dir)={Base + TableAt:x}\nSYMBOL(_stext)={Base + 0x100000:x}\n"), out VmcoreInfo? info, out _));
        Info = info;
        Assert.True(KernelMemory.TryOpen(this, Info, out KernelMemory? memory, out string? reason), reason);
        Memory = memory;
    }

    public byte[] Bytes { get; }

    /// <summary>From here on bytes are <see cref="Allocate"/>'s.</summary>
    public int FirstFree { get; } = 0x4000;

    public int Used => _free;

    public VmcoreInfo Info { get; }

    public KernelMemory Memory { get; }

    public bool TryRead(ulong address, Span<byte> target)
    {
        if (address > (ulong)Bytes.Length || (ulong)target.Length > (ulong)Bytes.Length - address || _holes.Contains(address & ~0xFFFUL))
        {
            return false;
        }
        Bytes.AsSpan((int)address, target.Length).CopyTo(target);
        return true;
    }

    /// <returns>Its address, as the kernel has it.</returns>
    public ulong Allocate(int bytes, int alignment = 64)
    {
        _free = (_free + alignment - 1) / alignment * alignment;
        ulong address = Base + (ulong)_free;
        _free += bytes;
        return address;
    }

    public Span<byte> At(ulong address) => Bytes.AsSpan((int)(address - Base));

    public void Write(ulong address, KernelMember member, ulong value)
    {
        Span<byte> at = At(address)[member.Offset..];
        if (member.Size == 4)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(at, (uint)value);
        }
        else
        {
            BinaryPrimitives.WriteUInt64LittleEndian(at, value);
        }
    }

    public void Write(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(At(address), value);

    public ulong Read(ulong address) => BinaryPrimitives.ReadUInt64LittleEndian(At(address));

    /// <summary>The page of this address is not in the memory.</summary>
    public void Remove(ulong address) => _holes.Add((address - Base) & ~0xFFFUL);
}
