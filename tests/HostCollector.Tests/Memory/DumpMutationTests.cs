using System.Buffers.Binary;
using System.Text;
using VsockPair.Decoding;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.Memory;
using VsockPair.TestKit;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>A guest's memory holds what the guest likes, and a file may be damaged: nothing throws, every walk ends soon, memory and what is written stay bounded.</summary>
[Trait("Category", "Fuzz")]
public sealed class DumpMutationTests(ITestOutputHelper output)
{
    private static readonly ulong[] EvilNumbers =
    [
        0, 1, 2, 3, 7, 8, 31, 32, 33, 62, 63, 64, 255, 1023, 1024, 4095, 4096, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1UL << 32, 1UL << 52, 1UL << 62, 2UL << 62,
        3UL << 62, (1UL << 62) - 1, long.MaxValue, 1UL << 63, ulong.MaxValue, ulong.MaxValue - 7, ulong.MaxValue - 4095, KernelImage.Start, KernelImage.Root, KernelImage.PhysicalBase,
    ];

    private readonly Random _random = new(Fuzz.Seed + 3);

    [Fact]
    public void Mutated_printk_rings_are_read_without_harm()
    {
        int cases = Fuzz.Cases(0.05);
        PrintkImage image = new(countBits: 5, sizeBits: 10);
        for (int i = 0; i < 100; i++)
        {
            image.Add($"record {i}\nof two lines \u001b");
        }
        StringWriter log = new();
        int whole = 0;
        int empty = 0;
        FuzzRun.Run(output, "memory, mutated printk rings", cases, i =>
        {
            // Its own each time: translations are kept.
            KernelMemory memory = image.Kernel.Open(PrintkImage.Layout);
            List<(ulong Address, ulong Value)> undo = [];
            for (int n = 1 + _random.Next(4); n > 0; n--)
            {
                ulong address = PrintkImage.Structures[_random.Next(PrintkImage.Structures.Length)] + (ulong)_random.Next(1024) * 8 / (ulong)(1 + _random.Next(64)) / 8 * 8;
                ulong old = BinaryPrimitives.ReadUInt64LittleEndian(image.Kernel.At(address));
                undo.Add((address, old));
                BinaryPrimitives.WriteUInt64LittleEndian(image.Kernel.At(address), Damaged(old));
            }
            log.GetStringBuilder().Clear();
            PrintkReport report = PrintkRing.Write(memory, log, PrintkLimits.File);
            // 32 records, or as many as a damaged ring claims, of which each must name its text; escaping makes four of one.
            Assert.InRange(log.GetStringBuilder().Length, 0, 100 * 4 * ushort.MaxValue);
            Assert.InRange(report.Records, 0, 100);
            whole += report is { Missing: null, Lost: 0 } ? 1 : 0;
            empty += report.Records == 0 ? 1 : 0;
            undo.Reverse();
            undo.ForEach(u => BinaryPrimitives.WriteUInt64LittleEndian(image.Kernel.At(u.Address), u.Value));
        });
        output.WriteLine($"{whole} whole, {empty} empty");
        Assert.InRange(whole, cases / 20, cases * 9 / 10);
        Assert.InRange(empty, cases / 100, cases / 2);
    }

    [Fact]
    public void Mutated_vmcoreinfo_is_used_without_harm()
    {
        int cases = Fuzz.Cases(0.02);
        Mutator mutator = new(Fuzz.Seed + 4);
        PrintkImage image = new(countBits: 5, sizeBits: 10);
        image.Add("first");
        byte[] text = Encoding.ASCII.GetBytes(image.Kernel.VmcoreInfoText + PrintkImage.Layout);
        int read = 0;
        FuzzRun.Run(output, "memory, mutated vmcoreinfo", cases, _ =>
        {
            if (VmcoreInfo.TryParse(mutator.File(text), out VmcoreInfo? info, out string? _)
                && KernelMemory.TryOpen(image.Kernel, info, out KernelMemory? memory, out string? _))
            {
                read += (int)Math.Min(1, PrintkRing.Write(memory, TextWriter.Null, PrintkLimits.File).Records);
                Assert.InRange(info.BuildId?.Length ?? 40, 40, 40);
            }
        });
        // Every line is needed, and one in six is cut off somewhere.
        Assert.InRange(read, cases / 50, cases * 9 / 10);
    }

    [Fact]
    public void Mutated_dumps_are_opened_and_read_without_harm()
    {
        int cases = Fuzz.Cases(0.05);
        byte[][] files = Dumps();
        int opened = 0;
        int found = 0;
        byte[] page = new byte[4096];
        FuzzRun.Run(output, "memory, mutated dumps", cases, i =>
        {
            byte[] file = [.. files[i % files.Length]];
            for (int n = 1 + _random.Next(4); n > 0; n--)
            {
                // Headers stand at the start of a file or, of the small core, at its end.
                int at = _random.Next(3) switch { 0 => _random.Next(512), 1 => file.Length - 8 - _random.Next(512), _ => _random.Next(file.Length - 8) };
                at &= ~3;
                BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(at), Damaged(BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(at))));
            }
            int length = _random.Next(8) == 0 ? _random.Next(file.Length) : file.Length;
            if (!MemoryFiles.TryOpen(new MemoryBytes(file[..length]), out MemoryFile? memory, out string? reason))
            {
                Assert.NotEqual("", reason);
                return;
            }
            opened++;
            foreach (ulong address in (ulong[])[0, 4095, KernelImage.PhysicalBase, EvilNumbers[_random.Next(EvilNumbers.Length)]])
            {
                found += memory.TryRead(address, page) ? 1 : 0;
            }
            VmcoreInfoSource.TryFind(memory, memory.Notes, [], out _, out _);
            CpuRegisters.Write(memory.Notes, KernelSymbols.Empty, TextWriter.Null);
        });
        output.WriteLine($"{opened} opened, {found} pages");
        Assert.InRange(opened, cases / 4, cases);
        Assert.InRange(found, opened / 2, opened * 4);
    }

    /// <summary>One in each format, with the first pages of a kernel and notes.</summary>
    private static byte[][] Dumps()
    {
        KernelImage image = new();
        byte[] notes = [
            .. MemoryFilesTests.Note("CORE", 1, new byte[336]), .. MemoryFilesTests.Note("QEMU", 0, new byte[440]),
            .. MemoryFilesTests.Note("VMCOREINFO", 0, Encoding.ASCII.GetBytes(image.VmcoreInfoText))];
        SortedDictionary<ulong, byte[]> pages = [];
        MemoryStream core = new();
        MiniCoreWriter writer = new(core);
        foreach (ulong address in (ulong[])[0, 4096, KernelImage.PhysicalBase, KernelImage.PhysicalBase + 0x10000])
        {
            byte[] page = new byte[4096];
            image.TryRead(address, page);
            pages.Add(address / 4096, page);
            writer.Add(address, page);
        }
        writer.Finish(notes);
        byte[] plain = KdumpImage.Plain(pages, notes);
        return [core.ToArray(), plain, KdumpImage.Flattened(plain, 3000)];
    }

    private ulong Damaged(ulong value) => _random.Next(4) switch
    {
        0 => value ^ 1UL << _random.Next(64),
        1 => value + (ulong)_random.Next(-64, 65),
        2 => value & ~0xFFFFFFFFUL | EvilNumbers[_random.Next(EvilNumbers.Length)] & 0xFFFFFFFF,
        _ => EvilNumbers[_random.Next(EvilNumbers.Length)],
    };
}
