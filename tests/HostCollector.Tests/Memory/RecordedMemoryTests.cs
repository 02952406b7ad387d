using System.IO.Compression;
using VsockPair.Decoding;
using VsockPair.Memory;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>The small cores of two panicked kernels with KASLR, and the log that <c>MemoryTests</c> of Vm.Tests found equal to the guest's own.</summary>
public sealed class RecordedMemoryTests
{
    [Theory]
    [InlineData("Linux612", "6.12.")]
    [InlineData("Linux61", "6.1.")]
    public void The_log_of_a_panicked_kernel_is_read(string name, string release)
    {
        using ZipArchive zip = ZipFile.OpenRead(Path.Combine(Repository.Root, "tests/TestData/Memory", $"{name}.zip"));
        using MemoryFile memory = Open(Bytes(zip, "vmcore"));
        Assert.True(VmcoreInfoSource.TryFind(memory, memory.Notes, [], out VmcoreInfo? info, out string? reason), reason);
        Assert.StartsWith(release, info.Release, StringComparison.Ordinal);
        Assert.NotNull(info.BuildId);
        // Moved by KASLR.
        Assert.True(info.TrySymbol("_stext", out ulong text));
        Assert.NotEqual(0xFFFF_FFFF_8100_0000, text);
        Assert.True(KernelMemory.TryOpen(memory, info, out KernelMemory? kernel, out reason), reason);
        StringWriter log = new();
        PrintkReport report = PrintkRing.Write(kernel, log, PrintkLimits.File);
        Assert.Null(report.Missing);
        Assert.Equal(System.Text.Encoding.UTF8.GetString(Bytes(zip, "dmesg.txt")), log.ToString());
        Assert.Contains("] Kernel panic - not syncing: sysrq triggered crash\n", log.ToString(), StringComparison.Ordinal);

        StringWriter registers = new();
        Assert.Equal(2, CpuRegisters.Write(memory.Notes, KernelSymbols.Empty, registers));
        Assert.Matches("^vCPU 0\n  rip     ffffffff[0-9a-f]{8}  rsp     ffff[0-9a-f]{12}  rflags  ", registers.ToString());
        Assert.Equal(2, registers.ToString().Split("  cr3     0000000").Length - 1);
    }

    private static MemoryFile Open(byte[] core)
    {
        Assert.True(MemoryFiles.TryOpen(new MemoryBytes(core), out MemoryFile? memory, out string? reason), reason);
        return memory;
    }

    private static byte[] Bytes(ZipArchive zip, string name)
    {
        using Stream stream = zip.GetEntry(name)!.Open();
        using MemoryStream all = new();
        stream.CopyTo(all);
        return all.ToArray();
    }
}
