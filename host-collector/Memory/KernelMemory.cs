using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace VsockPair.Memory;

/// <summary>
/// A guest kernel's memory by virtual address. Translates with the kernel's own page tables, so neither the place of the direct map nor that of the kernel image
/// (both random with KASLR) need be known.
/// </summary>
internal sealed class KernelMemory
{
    /// <summary><c>__START_KERNEL_map</c>: where x86-64 maps the kernel image (Documentation/arch/x86/x86_64/mm.rst).</summary>
    private const ulong ImageMap = 0xFFFF_FFFF_8000_0000;

    private readonly IPhysicalMemory _memory;
    private readonly PageTables _tables;

    private KernelMemory(IPhysicalMemory memory, VmcoreInfo info, PageTables tables)
    {
        _memory = memory;
        _tables = tables;
        Info = info;
    }

    public VmcoreInfo Info { get; }

    /// <param name="reason">Why this kernel's addresses cannot be translated.</param>
    public static bool TryOpen(
        IPhysicalMemory memory, VmcoreInfo info, [NotNullWhen(true)] out KernelMemory? kernel, [NotNullWhen(false)] out string? reason)
    {
        kernel = null;
        if (!info.TryNumber("phys_base", out long physicalBase))
        {
            reason = "VMCOREINFO has no NUMBER(phys_base): only kernels for x86-64 are read";
            return false;
        }
        if (!info.TrySymbol("swapper_pg_dir", out ulong root) || root < ImageMap)
        {
            reason = "VMCOREINFO has no SYMBOL(swapper_pg_dir) in the kernel's image";
            return false;
        }
        info.TryNumber("sme_mask", out long encryptionMask);
        PageTables tables = new(memory, unchecked(root - ImageMap + (ulong)physicalBase), info.Is5Level, (ulong)encryptionMask);
        // The tables map themselves; where they do not, the numbers above are not this memory's.
        if (!tables.TryTranslate(root, out ulong physical) || physical != unchecked(root - ImageMap + (ulong)physicalBase))
        {
            reason = "the kernel's page tables are not where its VMCOREINFO says: memory of another boot, or damaged";
            return false;
        }
        kernel = new KernelMemory(memory, info, tables);
        reason = null;
        return true;
    }

    public bool TryTranslate(ulong address, out ulong physical) => _tables.TryTranslate(address, out physical);

    /// <summary>Reads pages that are neighbours in physical memory too in one go: a remote memory is asked once for a whole ring.</summary>
    /// <returns>False when any byte of it cannot be had; what <paramref name="target"/> holds then is undefined.</returns>
    public bool TryRead(ulong address, Span<byte> target)
    {
        if ((ulong)target.Length > ulong.MaxValue - address)
        {
            return false;
        }
        while (target.Length > 0)
        {
            if (!_tables.TryTranslate(address, out ulong physical))
            {
                return false;
            }
            int count = Math.Min(target.Length, ToPageEnd(address));
            while (count < target.Length && _tables.TryTranslate(address + (ulong)count, out ulong next) && next == physical + (ulong)count)
            {
                count = Math.Min(target.Length, count + PageTables.PageBytes);
            }
            if (!_memory.TryRead(physical, target[..count]))
            {
                return false;
            }
            target = target[count..];
            address += (ulong)count;
        }
        return true;
    }

    public bool TryReadU32(ulong address, out uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        bool read = TryRead(address, bytes);
        value = read ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : 0;
        return read;
    }

    /// <summary>Also a pointer, an <c>unsigned long</c>, a <c>local_t</c> or an <c>atomic_long_t</c>.</summary>
    public bool TryReadU64(ulong address, out ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bool read = TryRead(address, bytes);
        value = read ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : 0;
        return read;
    }

    private static int ToPageEnd(ulong address) => PageTables.PageBytes - (int)(address & (PageTables.PageBytes - 1));
}
