using System.Buffers.Binary;
using System.Globalization;
using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>A made-up kernel image of 8 MiB with page tables that map it: enough for a reader to find its way from VMCOREINFO to a structure.</summary>
internal sealed class KernelImage : IPhysicalMemory
{
    public const ulong Start = 0xFFFF_FFFF_8000_0000;
    public const int Bytes = 8 << 20;

    /// <summary>Where the image lies, as if by KASLR.</summary>
    public const ulong PhysicalBase = 0x3A0_0000;

    private const ulong LargePage = 0x83;
    private const ulong Table = 0x03;
    private const int LargePageBytes = 2 << 20;
    private const int TablesAt = 0x10000;

    private readonly byte[] _bytes = new byte[Bytes];
    private readonly bool _isFiveLevel;

    public KernelImage(bool isFiveLevel = false)
    {
        _isFiveLevel = isFiveLevel;
        int table = 0;
        for (int shift = isFiveLevel ? 48 : 39; shift > 21; shift -= 9, table++)
        {
            SetEntry(table, shift, PhysicalOf(table + 1) | Table);
        }
        for (int at = 0; at < Bytes; at += LargePageBytes)
        {
            WriteEntry(table, (int)(Start >> 21 & 511) + at / LargePageBytes, PhysicalBase + (ulong)at | LargePage);
        }
    }

    public static ulong Root => Start + TablesAt;

    public string VmcoreInfoText => string.Create(
        CultureInfo.InvariantCulture,
        $"OSRELEASE=6.99.0-made-up\nBUILD-ID=0123456789abcdef0123456789abcdef01234567\nNUMBER(phys_base)={PhysicalBase}\nSYMBOL(swapper_pg_dir)={Root:x}\nNUMBER(pgtable_l5_enabled)={(_isFiveLevel ? 1 : 0)}\n");

    /// <summary>From this address to the end of the image.</summary>
    public Span<byte> At(ulong address) => _bytes.AsSpan((int)(address - Start));

    public bool TryRead(ulong address, Span<byte> target)
    {
        if (address < PhysicalBase || address - PhysicalBase > Bytes || (ulong)target.Length > Bytes - (address - PhysicalBase))
        {
            return false;
        }
        _bytes.AsSpan((int)(address - PhysicalBase), target.Length).CopyTo(target);
        return true;
    }

    public KernelMemory Open(string moreInfo = "")
    {
        Assert.True(VmcoreInfo.TryParse(System.Text.Encoding.ASCII.GetBytes(VmcoreInfoText + moreInfo), out VmcoreInfo? info, out string? reason), reason);
        Assert.True(KernelMemory.TryOpen(this, info, out KernelMemory? memory, out reason), reason);
        return memory;
    }

    /// <summary>The entry of a table that a walk for the image's first byte uses.</summary>
    public void SetEntry(int table, int shift, ulong entry) => WriteEntry(table, (int)(Start >> shift & 511), entry);

    public static ulong PhysicalOf(int table) => PhysicalBase + TablesAt + (ulong)table * 4096;

    private void WriteEntry(int table, int index, ulong entry) =>
        BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(TablesAt + table * 4096 + index * sizeof(ulong)), entry);
}
