using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.Linux;
using VsockPair.Options;
using VsockPair.Storage;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>A short stretch of a long recording costs what the stretch holds.</summary>
public sealed class LargeStoreTests(ITestOutputHelper output) : IDisposable
{
    private const int SlotBytes = 65536;
    private const int SlotsPerSegment = 1024;
    private const int SegmentsPerVcpu = 32;
    private const int Vcpus = 2;
    private const ulong SlotTime = 100_000_000;
    private const ulong SegmentTime = SlotsPerSegment * SlotTime;

    private readonly SampleStore _store = new();

    public void Dispose() => _store.Dispose();

    [Theory]
    [InlineData("dat", false)]
    [InlineData("txt", false)]
    [InlineData("dat", true)]
    public async Task Ten_seconds_of_four_gigabytes_read_less_than_50_MB(string format, bool compressed)
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        new SampleTrace(_store).WriteMetadata(moreSymbols: 150_000);
        long stored = 0;
        for (int vcpu = 0; vcpu < Vcpus; vcpu++)
        {
            stored += WriteVcpu(vcpu);
        }
        Assert.Equal(4L << 30, stored);
        if (compressed)
        {
            Compress();
            Assert.Equal(Vcpus * SegmentsPerVcpu, Directory.GetFiles(StorePaths.Trace(_store.BootFolder(SampleStore.NewBoot)), "*.pages.zst", SearchOption.AllDirectories).Length);
            Assert.Empty(Directory.GetFiles(_store.Root, "*.pages", SearchOption.AllDirectories));
        }

        string file = Path.Combine(_store.Root, "out." + format);
        // The command runs on this thread, and the kernel counts for each what it read.
        long before = BytesRead();
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", file, "-S", "-10s");
        long read = BytesRead() - before;
        Assert.True(exitCode == 0, error);
        output.WriteLine($"{format}{(compressed ? ", compressed" : "")}: {read} bytes read of {stored} stored");
        Assert.InRange(read, 500_000, 50_000_000);
        Assert.Contains(" 202 events of boot", error, StringComparison.Ordinal);
    }

    /// <summary>The newest segment has an event per slot; all before it are holes, which are as many bytes to whoever reads them.</summary>
    private long WriteVcpu(int vcpu)
    {
        string folder = StorePaths.Vcpu(_store.BootFolder(SampleStore.NewBoot), vcpu);
        Directory.CreateDirectory(folder);
        for (int i = 0; i < SegmentsPerVcpu; i++)
        {
            ulong first = (ulong)(i + 1) * SegmentTime;
            using FileStream file = File.Create(Path.Combine(folder, StorePaths.SegmentName(first, SlotBytes)));
            file.SetLength((long)SlotBytes * SlotsPerSegment);
            for (int slot = 0; slot < SlotsPerSegment && i == SegmentsPerVcpu - 1; slot++)
            {
                file.Position = (long)slot * SlotBytes;
                file.Write(SampleTrace.SubBufferOf(first + (ulong)slot * SlotTime, slot, 1));
            }
        }
        return (long)SlotBytes * SlotsPerSegment * SegmentsPerVcpu;
    }

    /// <summary>Each vCPU's newest segment as the collector does it; those before it are all the same, so one is compressed and copied.</summary>
    private void Compress()
    {
        using CollectorStore store = new(new CollectorOptions { StoreDirectory = _store.Root }, TimeProvider.System, NullLogger<StorageWorker>.Instance);
        using SegmentCompression compression = new(store.Worker, () => { });
        for (int vcpu = 0; vcpu < Vcpus; vcpu++)
        {
            string[] segments = [.. SegmentForms.In(StorePaths.Vcpu(_store.BootFolder(SampleStore.NewBoot), vcpu)).Order(StringComparer.Ordinal)];
            foreach (string segment in (string[])[segments[0], segments[^1]])
            {
                using (Fd fd = Fd.Own(Sys.Open(segment, Constants.O_RDONLY), "open", segment))
                {
                    SegmentSum.Write(segment, fd.Value, SlotsPerSegment, 0, 0, 0);
                }
                Assert.Equal(CompressionEnd.Done, compression.Run(store.Guest("web1"), segment));
            }
            foreach (string segment in segments[1..^1])
            {
                File.Copy(SegmentForms.CompressedPath(segments[0]), SegmentForms.CompressedPath(segment));
                File.Delete(segment);
            }
        }
    }

    private static long BytesRead() =>
        long.Parse(File.ReadLines("/proc/thread-self/io").First(line => line.StartsWith("rchar:", StringComparison.Ordinal)).AsSpan(7), CultureInfo.InvariantCulture);
}
