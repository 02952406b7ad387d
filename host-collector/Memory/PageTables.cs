using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>Page tables of x86-64 with four or five levels (Intel SDM volume 3, 4.5). A walk has as many steps as levels, so tables that point in circles do no harm.</summary>
internal sealed class PageTables(IPhysicalMemory memory, ulong root, bool isFiveLevel, ulong encryptionMask)
{
    public const int PageBytes = 4096;

    private const int PageBits = 12;
    private const int LevelBits = 9;
    private const ulong Present = 1;
    private const ulong Large = 1 << 7;
    private const ulong AddressBits = 0x000F_FFFF_FFFF_F000;

    /// <summary>Translations that were used last, by page number: readers come back to the same pages.</summary>
    private const int CachedPages = 1024;

    private readonly (ulong Page, ulong Address)[] _cache = new (ulong, ulong)[CachedPages];

    /// <param name="address">Virtual.</param>
    /// <param name="physical">Of that very byte; good to the end of its 4 KiB page.</param>
    public bool TryTranslate(ulong address, out ulong physical)
    {
        ulong page = address >> PageBits;
        ulong offset = address & (PageBytes - 1);
        ref (ulong Page, ulong Address) cached = ref _cache[page % CachedPages];
        // Page 0 is never the kernel's, so an empty place in the cache is no translation.
        if (page != 0 && cached.Page == page)
        {
            physical = cached.Address + offset;
            return true;
        }
        if (page == 0 || !TryWalk(address, out physical))
        {
            physical = 0;
            return false;
        }
        cached = (page, physical - offset);
        return true;
    }

    private bool TryWalk(ulong address, out ulong physical)
    {
        physical = 0;
        int levels = isFiveLevel ? 5 : 4;
        int unused = 64 - (PageBits + levels * LevelBits);
        if ((ulong)((long)address << unused >> unused) != address)
        {
            return false;
        }
        ulong table = root;
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        for (int level = levels - 1; level >= 0; level--)
        {
            int shift = PageBits + level * LevelBits;
            ulong index = (address >> shift) & ((1 << LevelBits) - 1);
            if (!memory.TryRead(table + index * sizeof(ulong), bytes))
            {
                return false;
            }
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            if ((entry & Present) == 0)
            {
                return false;
            }
            ulong target = entry & AddressBits & ~encryptionMask;
            // 2 MiB and 1 GiB pages; the lowest bits of such an entry's address are flags.
            bool isLarge = level is 1 or 2 && (entry & Large) != 0;
            if (level == 0 || isLarge)
            {
                ulong within = (1UL << shift) - 1;
                physical = (target & ~within) | (address & within);
                return true;
            }
            table = target;
        }
        return false;
    }
}
