using System.Diagnostics;
using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

public sealed class KernelTypesTests
{
    [Fact]
    public void Members_are_found_through_unnamed_structs_other_names_and_paths()
    {
        BtfBuilder btf = new();
        btf.Others();
        int u32 = btf.Number("unsigned int", 4);
        int inner = btf.Struct("inner", 8, ("low", u32, 0), ("high", u32, 4));
        int other = btf.Typedef("inner_t", btf.Volatile(inner));
        int text = btf.Array(btf.Array(u32, 4), 2);
        int union = btf.Union("", 8, ("one", other, 0), ("two", u32, 4));
        int nameless = btf.Struct("", 12, ("", union, 4));
        btf.Struct("outer", 64, ("first", u32, 0), ("", nameless, 8), ("text", text, 32));
        btf.BitStruct("bits", 8, ("flag", u32, 3, 1), ("whole", u32, 32, 0));
        KernelTypes types = KernelTypes.TryParse(btf.Build(), out _)!;
        Assert.Equal(new KernelMember(0, 4), types.Find("outer", "first"));
        Assert.Equal(new KernelMember(12, 8), types.Find("outer", "one"));
        Assert.Equal(new KernelMember(16, 4), types.Find("outer", "one.high"));
        Assert.Equal(new KernelMember(16, 4), types.Find("outer", "two"));
        Assert.Equal(new KernelMember(32, 32), types.Find("outer", "text"));
        Assert.Equal(4, types.OffsetOf("bits", "whole"));
        Assert.Null(types.Find("bits", "flag"));
        Assert.Null(types.Find("outer", "firs"));
        Assert.Null(types.Find("oute", "first"));
        Assert.Null(types.Find("outer", "first.first"));
        Assert.Equal(64, types.SizeOf("outer"));
        Assert.Null(types.SizeOf("inner_t"));
    }

    [Fact]
    public void Structs_of_one_name_that_differ_are_not_chosen_from()
    {
        BtfBuilder btf = new();
        int u32 = btf.Number("unsigned int", 4);
        btf.Struct("twin", 8, ("same", u32, 0), ("moved", u32, 4));
        btf.Struct("twin", 12, ("same", u32, 0), ("moved", u32, 8), ("only", u32, 4));
        KernelTypes types = KernelTypes.TryParse(btf.Build(), out _)!;
        Assert.Equal(0, types.OffsetOf("twin", "same"));
        Assert.Equal(4, types.OffsetOf("twin", "only"));
        Assert.Null(types.OffsetOf("twin", "moved"));
        Assert.Null(types.SizeOf("twin"));
    }

    /// <summary>Types that lead back to themselves, and nested ones whose number doubles with each level.</summary>
    [Fact]
    public void Circles_and_explosions_end()
    {
        BtfBuilder btf = new();
        int self = btf.Typedef("self", btf.Next);
        int array = btf.Array(btf.Next, 1 << 20);
        btf.Struct("holder", 8, ("circle", self, 0), ("large", array, 0));
        int circle = btf.Next;
        btf.Struct("", 8, ("", circle, 0), ("", circle, 0));
        btf.Struct("around", 8, ("", circle, 0), ("after", self, 0));
        int level = btf.Number("unsigned int", 4);
        for (int i = 0; i < 40; i++)
        {
            level = btf.Struct("", 8, [.. Enumerable.Repeat(("", level, 0), 64)]);
        }
        btf.Struct("deep", 8, ("", level, 0), ("", level, 0));
        KernelTypes types = KernelTypes.TryParse(btf.Build(), out _)!;
        Stopwatch watch = Stopwatch.StartNew();
        Assert.Null(types.Find("holder", "circle"));
        Assert.Null(types.Find("holder", "large"));
        Assert.Null(types.Find("around", "nothing"));
        Assert.Null(types.Find("deep", "nothing"));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(2));
    }

    [Fact]
    public void File_that_is_none_is_refused()
    {
        byte[] good = FakeTypes.Btf(is612: false);
        Assert.Null(KernelTypes.TryParse([], out string fault));
        Assert.Equal("it is no BTF of a little-endian kernel", fault);
        Assert.Null(KernelTypes.TryParse(good[..^1], out fault));
        Assert.Equal("it is cut short", fault);
        // A kind that no kernel has: what follows it cannot be found.
        good[24 + 7] = 31;
        Assert.Null(KernelTypes.TryParse(good, out fault));
        Assert.Equal("its type 1 cannot be", fault);
    }

    [Fact]
    public void Kernel_lies_where_its_memory_says_or_else_its_agent()
    {
        FakeKernel kernel = new();
        byte[] core = "+0 T _text\n+40 T _stext\n+1000 D init_task\n00000000000020c0 A runqueues\n"u8.ToArray();
        byte[] boot = "ffffffff9e000000 _text\nffffffffc0000000 t of_module\t[mod]\n"u8.ToArray();
        KernelAddresses told = KernelAddresses.TryCreate(core, boot, null, out _)!;
        Assert.Equal(0xffff_ffff_9e00_1000, told.Find("init_task"));
        Assert.Equal(0xffff_ffff_c000_0000, told.Find("of_module"));
        Assert.Equal(0x20c0UL, told.Find("runqueues"));
        Assert.Null(told.Find("init_tas"));
        Assert.Equal(FakeKernel.Base + 0x1000, KernelAddresses.TryCreate(core, boot, kernel.Memory.Info, out _)!.Find("init_task"));
        Assert.Null(KernelAddresses.TryCreate(core, [], null, out string fault));
        Assert.StartsWith("where the kernel lies in this boot is not known", fault, StringComparison.Ordinal);
        Assert.Null(KernelAddresses.TryCreate([], boot, null, out fault));
        Assert.StartsWith("the kernel's symbols are not stored", fault, StringComparison.Ordinal);
    }
}
