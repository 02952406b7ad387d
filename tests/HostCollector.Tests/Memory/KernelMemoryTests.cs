using System.Text;
using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

public sealed class KernelMemoryTests
{
    private const ulong Somewhere = KernelImage.Start + 0x41_2345;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Translates_with_the_kernels_own_tables(bool isFiveLevel)
    {
        KernelImage image = new(isFiveLevel);
        "found"u8.CopyTo(image.At(Somewhere));
        KernelMemory memory = image.Open();
        Assert.True(memory.TryTranslate(Somewhere, out ulong physical));
        Assert.Equal(Somewhere - KernelImage.Start + KernelImage.PhysicalBase, physical);
        byte[] found = new byte[5];
        Assert.True(memory.TryRead(Somewhere, found));
        Assert.Equal("found"u8.ToArray(), found);
        // Over the end of large pages, in one go.
        Assert.True(memory.TryRead(KernelImage.Start + 100, new byte[KernelImage.Bytes - 100]));
        Assert.False(memory.TryRead(KernelImage.Start + 100, new byte[KernelImage.Bytes]));
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(0x1234UL)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFFUL)]
    [InlineData(0x0000_8000_0000_0000UL)] // not canonical
    [InlineData(0x7FFF_FFFF_8041_2345UL)]
    [InlineData(KernelImage.Start + KernelImage.Bytes)]
    public void What_is_not_mapped_is_not_there(ulong address)
    {
        KernelMemory memory = new KernelImage().Open();
        Assert.False(memory.TryTranslate(address, out _));
        Assert.False(memory.TryReadU64(address, out _));
    }

    [Fact]
    public void Tables_that_point_in_circles_or_nowhere_end_the_walk()
    {
        KernelImage image = new();
        KernelMemory memory = image.Open();
        // The table of 2 MiB pages becomes the root again: a fourth level that is no leaf.
        image.SetEntry(1, 30, KernelImage.PhysicalOf(0) | 3);
        Assert.False(memory.TryReadU64(Somewhere, out _));
        image.SetEntry(1, 30, 0x000F_FFFF_FFFF_F003);
        Assert.False(memory.TryReadU64(Somewhere, out _));
    }

    [Theory]
    [InlineData("NUMBER(phys_base)=", "NUMBER(kimage_voffset)=", "only kernels for x86-64")]
    [InlineData("SYMBOL(swapper_pg_dir)=", "SYMBOL(other)=", "no SYMBOL(swapper_pg_dir)")]
    [InlineData("SYMBOL(swapper_pg_dir)=ffff", "SYMBOL(swapper_pg_dir)=0000", "no SYMBOL(swapper_pg_dir)")]
    [InlineData("NUMBER(phys_base)=", "NUMBER(phys_base)=1", "memory of another boot")]
    [InlineData("NUMBER(pgtable_l5_enabled)=0", "NUMBER(pgtable_l5_enabled)=1", "memory of another boot")]
    public void Says_why_a_kernel_cannot_be_read(string text, string replacement, string reason)
    {
        KernelImage image = new();
        string changed = image.VmcoreInfoText.Replace(text, replacement, StringComparison.Ordinal);
        Assert.NotEqual(image.VmcoreInfoText, changed);
        Assert.True(VmcoreInfo.TryParse(Encoding.ASCII.GetBytes(changed), out VmcoreInfo? info, out _));
        Assert.False(KernelMemory.TryOpen(image, info, out _, out string? found));
        Assert.Contains(reason, found, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0123456789abcdef0123456789abcdef01234567", true)]
    [InlineData("0123456789ABCDEF0123456789abcdef01234567", false)]
    [InlineData("../../../../../../../../../../etc/passwd", false)]
    [InlineData("0123456789abcdef0123456789abcdef0123456", false)]
    public void A_build_id_is_forty_hex_digits_or_none(string id, bool isBuildId)
    {
        Assert.True(VmcoreInfo.TryParse(Encoding.ASCII.GetBytes($"OSRELEASE=6.99\nBUILD-ID={id}\n"), out VmcoreInfo? info, out _));
        Assert.Equal(isBuildId ? id : null, info.BuildId);
    }

    [Fact]
    public void Vmcoreinfo_that_is_none_is_refused()
    {
        Assert.False(VmcoreInfo.TryParse(new byte[VmcoreInfo.MaxBytes + 1], out _, out string? reason));
        Assert.Contains("no kernel writes more", reason, StringComparison.Ordinal);
        Assert.False(VmcoreInfo.TryParse(new byte[1000], out _, out reason));
        Assert.Contains("without OSRELEASE", reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0x0000000003b00000 1024\n", null)]
    [InlineData("0x0000000003b00000 fffffff\n", "makes no sense")]
    [InlineData("nonsense", "makes no sense")]
    [InlineData("", "no agent told its place")]
    [InlineData("0x0000000000001000 1024\n", "is not in this memory")]
    [InlineData("0x0000000003c00000 1024\n", "memory of another boot")]
    public void Without_a_note_the_place_that_the_agent_told_is_looked_at(string place, string? reason)
    {
        KernelImage image = new();
        MemoryFilesTests.Note("VMCOREINFO", 0, Encoding.ASCII.GetBytes(image.VmcoreInfoText)).CopyTo(image.At(KernelImage.Start + 0x3B0_0000 - KernelImage.PhysicalBase));
        bool found = VmcoreInfoSource.TryFind(image, CoreNotes.Empty, Encoding.ASCII.GetBytes(place), out VmcoreInfo? info, out string? why);
        Assert.Equal(reason is null, found);
        Assert.Equal(reason is null ? "6.99.0-made-up" : null, info?.Release);
        Assert.Contains(reason ?? "", why ?? "", StringComparison.Ordinal);
    }
}
