using System.Diagnostics;
using VsockPair.Decoding;
using VsockPair.Linux;
using VsockPair.TestKit;
using VsockPair.Tracing;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>
/// A guest may write what it wants into its pages and its metadata: nothing throws, nothing is read outside the sub-buffer (it lies between pages that may not be
/// touched), each case ends soon, and memory stays bounded.
/// </summary>
[Trait("Category", "Fuzz")]
public sealed class MutationTests(ITestOutputHelper output)
{
    private const int BufferBytes = 65536;
    private const long MostAllocatedByCase = 64 << 20;
    private const long MostRetained = 256 << 20;

    /// <summary>Of this thread's CPU, whatever else the machine does: a case takes microseconds.</summary>
    private static readonly TimeSpan LongestCase = TimeSpan.FromSeconds(5);

    [Fact]
    public void Mutated_sub_buffers_are_walked_and_printed_without_harm()
    {
        int cases = Fuzz.Cases(0.9);
        Mutator mutator = new(Fuzz.Seed);
        using GuardedBytes memory = new(BufferBytes);
        Assert.True(memory.IsGuarded);
        (ReportText Report, byte[][] Payloads)[] recordings = [.. Recordings().Select(c => (new ReportText(c.Catalog()), Mutator.Payloads(c)))];
        TextLine text = new();
        byte[] scratch = new byte[BufferBytes];
        long events = 0;
        long malformed = 0;
        Run("sub-buffers", cases, i =>
        {
            (ReportText report, byte[][] payloads) = recordings[i % recordings.Length];
            int length = mutator.SubBuffer(payloads, scratch);
            Span<byte> target = i % 4 == 0 ? memory.AtStart(length) : memory.AtEnd(length);
            scratch.AsSpan(0, length).CopyTo(target);
            EventCursor cursor = new(target);
            bool more = cursor.TryRead(out RingEvent ringEvent);
            while (more)
            {
                more = cursor.TryRead(out RingEvent next);
                text.Clear();
                report.Append(text, i & 0xFFF, ringEvent, next);
                events++;
                ringEvent = next;
            }
            malformed += cursor.IsMalformed ? 1 : 0;
        });
        output.WriteLine($"{events} events, {malformed} malformed sub-buffers");
        // Neither all good nor all bad: both ways are tried.
        Assert.InRange(malformed, cases / 20, cases / 2);
        Assert.InRange(events, cases, cases * 3L);
    }

    [Fact]
    public void Mutated_formats_are_parsed_and_used_without_harm()
    {
        int cases = Fuzz.Cases(0.09);
        Mutator mutator = new(Fuzz.Seed + 1);
        using GuardedBytes memory = new(BufferBytes);
        (string Name, byte[] Text, byte[] Payload)[] formats = [.. Recordings().SelectMany(UsedFormats)];
        TextLine text = new();
        long parsed = 0;
        Run("formats", cases, _ =>
        {
            (string name, byte[] format, byte[] payload) = formats[mutator.Next(formats.Length)];
            byte[] mutated = mutator.File(format);
            EventCatalog catalog = new([name], _ => mutated);
            Span<byte> target = memory.AtEnd(payload.Length);
            payload.CopyTo(target);
            foreach (EventFormat one in catalog.Formats)
            {
                parsed++;
                // The event is given the id that the mutated format claims.
                BitConverter.TryWriteBytes(target, (ushort)one.Id);
                text.Clear();
                new EventText(catalog).AppendFields(text, 0, new RingEvent { TimeStamp = 1, Payload = target }, default);
                foreach (FieldFormat field in one.Fields)
                {
                    field.Number(target);
                    field.Text(target);
                }
            }
        });
        Assert.InRange(parsed, cases / 4, cases);
    }

    [Fact]
    public void Mutated_symbols_names_and_strings_are_read_without_harm()
    {
        const int piece = 4000;
        int cases = Fuzz.Cases(0.01);
        Mutator mutator = new(Fuzz.Seed + 2);
        CaptureFile capture = Recordings()[0];
        string[] names = ["kallsyms", "kallsyms-boot", "saved_cmdlines", "printk_formats", "events/header_page"];
        byte[][] files = [.. names.Select(n => capture.Metadata[n]).Select(f => f[..Math.Min(f.Length, piece)])];
        Run("symbols, names, strings", cases, _ =>
        {
            byte[][] mutated = [.. files.Select(mutator.File)];
            EventCatalog catalog = new(names, name => mutated[Array.IndexOf(names, name)]);
            for (int shift = 0; shift < 64; shift += 3)
            {
                ulong address = catalog.Symbols.TextAddress + (1UL << shift);
                catalog.Symbols.TryFind(address, out KernelSymbol symbol);
                _ = symbol.Name.Length + symbol.Module.Length;
                catalog.PrintkFormats.TryFind(address, out byte[]? _);
                catalog.CommandLines.Find((int)address);
            }
            catalog.Symbols.AddressOf("vmemmap_base");
        });
    }

    private void Run(string what, int cases, Action<int> one)
    {
        long longest = 0;
        long mostAllocated = 0;
        Stopwatch total = Stopwatch.StartNew();
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < cases; i++)
        {
            long start = Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID);
            one(i);
            longest = Math.Max(longest, Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID) - start);
            long now = GC.GetAllocatedBytesForCurrentThread();
            mostAllocated = Math.Max(mostAllocated, now - allocated);
            allocated = now;
        }
        TimeSpan slowest = TimeSpan.FromMicroseconds(longest / 1000.0);
        long retained = GC.GetTotalMemory(forceFullCollection: true);
        string result = $"{cases} cases in {total.Elapsed.TotalSeconds:0} s; longest {slowest.TotalMilliseconds:0} ms, {mostAllocated >> 10} KiB allocated; {retained >> 20} MiB retained";
        output.WriteLine(result);
        Fuzz.Record($"decoding, mutated {what}", result);
        Assert.InRange(slowest, TimeSpan.Zero, LongestCase);
        Assert.InRange(mostAllocated, 0, MostAllocatedByCase);
        Assert.InRange(retained, 0, MostRetained);
    }

    private static CaptureFile[] Recordings() =>
        [.. Directory.GetFiles(ReportTests.Folder, "*.zip").Order(StringComparer.Ordinal).Select(CaptureFile.Read)];

    private static IEnumerable<(string Name, byte[] Text, byte[] Payload)> UsedFormats(CaptureFile capture)
    {
        EventCatalog catalog = capture.Catalog();
        foreach (byte[] payload in Mutator.Payloads(capture).DistinctBy(p => BitConverter.ToUInt16(p)))
        {
            EventFormat format = catalog.Find(BitConverter.ToUInt16(payload))!;
            string name = $"events/{format.System}/{format.Name}/format";
            yield return (name, capture.Metadata[name], payload);
        }
    }
}
