using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.Storage;
using VsockPair.TestKit;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>
/// Stores of recordings whose pages and metadata were changed where it hurts, through every format: none fails, none takes longer or writes more than what is stored can
/// account for.
/// </summary>
[Trait("Category", "Fuzz")]
public sealed class ExportMutationTests(ITestOutputHelper output) : IDisposable
{
    private const int Pages = 12;
    private const int MostEventsOfPage = 3;
    private const int MostBytesByEvent = 10 << 10;
    private const int MostBytesByStoredByte = 20;

    /// <summary>Names of threads, clocks, the table of options: not of the guest's choice but for 64 bytes each.</summary>
    private const int MostBytesBeside = 1 << 20;

    private static readonly TimeSpan LongestExport = TimeSpan.FromSeconds(10);

    private static readonly string[] Texts = ["saved_cmdlines", "printk_formats", "thread_groups", "kallsyms", "kallsyms-boot", "events/header_page"];

    private readonly SampleStore _store = new();

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task Mutated_stores_are_exported_in_proportion()
    {
        int cases = Fuzz.Cases(0.000_04);
        Mutator mutator = new(Fuzz.Seed + 3);
        CaptureFile[] captures = [.. Directory.GetFiles(ReportTests.Folder, "*.zip").Order(StringComparer.Ordinal).Select(CaptureFile.Read)];
        TimeSpan slowest = TimeSpan.Zero;
        for (int i = 0; i < cases; i++)
        {
            CaptureFile capture = captures[i % captures.Length];
            (int stored, int metadata) = Write(mutator, capture);
            foreach (string format in new[] { "dat", "txt", "ndjson", "pftrace" })
            {
                string file = Path.Combine(_store.Root, "out." + format);
                Stopwatch watch = Stopwatch.StartNew();
                (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", file);
                slowest = watch.Elapsed > slowest ? watch.Elapsed : slowest;
                string what = string.Create(CultureInfo.InvariantCulture, $"case {i}, .{format}: {error}");
                // All of it may be damaged.
                Assert.True(exitCode is 0 or 3, what);
                Assert.True(watch.Elapsed < LongestExport, what);
                long most = MostBytesBeside + (long)stored * MostBytesByStoredByte + Pages * MostEventsOfPage * MostBytesByEvent + (format == "dat" ? 2L * metadata : 0);
                Assert.True(exitCode == 3 || new FileInfo(file).Length <= most, $"{what}, {new FileInfo(file).Length} bytes of at most {most}");
            }
        }
        string result = string.Create(CultureInfo.InvariantCulture, $"{cases} stores in four formats; longest export {slowest.TotalMilliseconds:0} ms");
        output.WriteLine(result);
        Fuzz.Record("exports of mutated stores", result);
    }

    /// <returns>Bytes of sub-buffers and of metadata.</returns>
    private (int Stored, int Metadata) Write(Mutator mutator, CaptureFile capture)
    {
        SampleTrace trace = new(_store);
        trace.WriteCapture(capture with { Cpus = [] });
        Dictionary<string, byte[]> metadata = new(capture.Metadata);
        foreach (string name in metadata.Keys.Where(n => Texts.Contains(n) ? mutator.Next(4) == 0 : mutator.Next(20) == 0).ToArray())
        {
            metadata[name] = mutator.File(metadata[name]);
        }
        trace.WriteMetadata(metadata);
        byte[][] payloads = Mutator.Payloads(capture);
        byte[] segment = new byte[Pages * capture.SubBufferBytes];
        byte[] scratch = new byte[1 << 16];
        for (int page = 0; page < Pages; page++)
        {
            int length = mutator.SubBuffer(payloads, scratch);
            Span<byte> slot = segment.AsSpan(page * capture.SubBufferBytes, capture.SubBufferBytes);
            scratch.AsSpan(0, Math.Min(length, slot.Length)).CopyTo(slot);
            if (mutator.Next(3) > 0)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(slot, 1_000_000_000 + (ulong)page * 1_000_000);
            }
        }
        string folder = StorePaths.Vcpu(_store.BootFolder(SampleStore.NewBoot), 0);
        Directory.CreateDirectory(folder);
        File.WriteAllBytes(Path.Combine(folder, StorePaths.SegmentName(1_000_000_000, capture.SubBufferBytes)), segment);
        return (segment.Length, metadata.Values.Sum(f => f.Length));
    }
}
