using System.Buffers.Binary;
using System.Text;
using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>A kernel image to lay structs out in.</summary>
internal sealed class FakeKernel : IPhysicalMemory
{
    public const ulong Base = KernelImage.Start;

    /// <summary>Of <c>_stext</c>, from the image's first byte on.</summary>
    public const int TextOffset = 0x40;

    private const int PageBytes = 4096;

    private readonly KernelImage _image = new();
    private readonly HashSet<ulong> _holes = [];

    public FakeKernel()
    {
        Assert.True(VmcoreInfo.TryParse(Encoding.ASCII.GetBytes($"{_image.VmcoreInfoText}SYMBOL(_stext)={Base + TextOffset:x}\n"), out VmcoreInfo? info, out string? reason), reason);
        Assert.True(KernelMemory.TryOpen(this, info, out KernelMemory? memory, out reason), reason);
        Memory = memory;
    }

    public KernelMemory Memory { get; }

    /// <summary>What <see cref="Allocate"/> has given out, past the page tables.</summary>
    public const ulong FirstFree = Base + 0x20000;

    public ulong Free { get; private set; } = FirstFree;

    public bool TryRead(ulong address, Span<byte> target) => !_holes.Contains(address / PageBytes) && _image.TryRead(address, target);

    /// <returns>Its address.</returns>
    public ulong Allocate(int bytes, int alignment = 64)
    {
        ulong address = (Free + (ulong)alignment - 1) / (ulong)alignment * (ulong)alignment;
        Free = address + (ulong)bytes;
        return address;
    }

    public Span<byte> At(ulong address) => _image.At(address);

    public void Write(ulong address, KernelMember member, ulong value)
    {
        Span<byte> at = At(address)[member.Offset..];
        if (member.Size == sizeof(uint))
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
    public void Remove(ulong address) => _holes.Add((address - Base + KernelImage.PhysicalBase) / PageBytes);
}
