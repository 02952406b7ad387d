using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>A guest writes into its pages and its metadata what costs the host most: exports stay in proportion to what is stored, and harm no reader.</summary>
public sealed class HostileExportTests : IDisposable
{
    private const ulong Start = 100_000_000_000;
    private const ushort EventId = 300;
    private const string Common = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n";
    private const string OneField = "\tfield:unsigned long a;\toffset:8;\tsize:8;\tsigned:0;\n";

    /// <summary>No export makes more of a byte that a guest wrote; what it may begin with stands in the first kilobytes of an event.</summary>
    private const int MostBytesByPayloadByte = 16;
    private const int MostBytesByEvent = 9 << 10;

    /// <summary>On a machine that has other work: each takes some hundredths of a second.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);

    private readonly SampleStore _store = new();
    private readonly SampleTrace _trace;

    public HostileExportTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon.AddSeconds(-100));
        _trace = new SampleTrace(_store);
        _trace.WriteMetadata();
    }

    public void Dispose() => _store.Dispose();

    /// <summary>trace-cmd walks events by its own rules, and where they lead out of a page it reads on: of what is in a .dat it has to make the same as we do.</summary>
    [TraceCmdFact]
    public async Task Trace_cmd_reads_of_a_dat_of_mutated_sub_buffers_what_the_text_has()
    {
        Random random = new(7);
        for (int i = 0; i < 40; i++)
        {
            File.Delete(_trace.WriteSegment(0, Start));
            _trace.WriteSegment(0, Start, Enumerable.Range(0, 10).Select(page => Mutate(random, SampleTrace.SubBufferOf(Start + (ulong)page * 1_000_000, page * 60, page % 3 == 0 ? SampleTrace.MostEvents : 60))));
            List<string> text = [.. await ExportLinesAsync("txt")];
            if (text.Last(line => !line.StartsWith("[UNKNOWN EVENT]", StringComparison.Ordinal)).StartsWith("CPU:0 [", StringComparison.Ordinal))
            {
                // No page can tell of a loss behind the last event that is known.
                text.RemoveAt(text.FindLastIndex(line => line.StartsWith("CPU:0 [", StringComparison.Ordinal)));
            }
            // trace-cmd would end its report at a loss before an event that it does not know: there a .dat has the loss behind those.
            Assert.Equal(Comparable(text), Comparable(await ReportAsync()));
        }
    }

    /// <summary>Fields, strings and arrays that say where they are, and lie.</summary>
    [TraceCmdFact]
    public async Task Trace_cmd_reads_a_dat_of_mutated_events_to_its_end()
    {
        const string fields = "\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\tfield:int number;\toffset:24;\tsize:4;\tsigned:1;\n"
            + "\tfield:__data_loc char[] text;\toffset:28;\tsize:4;\tsigned:0;\n\tfield:u8 bytes[8];\toffset:32;\tsize:8;\tsigned:0;\n";
        byte[] payload = Payload(44);
        "bash\0"u8.CopyTo(payload.AsSpan(8));
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(28), 40 | 4 << 16);
        "abc\0"u8.CopyTo(payload.AsSpan(40));
        Random random = new(9);
        for (int i = 0; i < 40; i++)
        {
            Write("tick", fields, "\"%s %d %s %s\", REC->comm, REC->number, __get_str(text), __print_hex(REC->bytes, 8)", $"{SampleTrace.Pid} x\n");
            _trace.WriteSegment(0, Start, Enumerable.Range(0, 10).Select(page =>
            {
                byte[] subBuffer = SampleTrace.SubBufferOf(Start + (ulong)page * 1_000_000, 1000, Enumerable.Repeat(payload, 60));
                for (int n = random.Next(1, 8); n > 0; n--)
                {
                    subBuffer[random.Next(8, random.Next(2) == 0 ? 400 : subBuffer.Length)] = random.Next(3) switch { 0 => (byte)random.Next(29, 32), 1 => (byte)random.Next(256), _ => (byte)(random.Next(2) * 255) };
                }
                return subBuffer;
            }));
            // It fails where trace-cmd does. The last sub-buffer's events are there, whatever those before it hold.
            List<string> report = await ReportAsync();
            int good = report.Count(line => line.Contains(": tick:", StringComparison.Ordinal));
            Assert.Equal((await ExportLinesAsync("txt")).Count(line => line.Contains(": tick:", StringComparison.Ordinal)), good);
        }
    }

    [TraceCmdFact]
    public async Task Bits_of_a_commit_field_that_we_do_not_read_are_not_for_others_to_read()
    {
        byte[] page = SampleTrace.SubBufferOf(Start, 0, 3);
        page[10] |= 0xF0;
        page[11] |= 0x07;
        _trace.WriteSegment(0, Start, page, SampleTrace.SubBufferOf(Start + 500_000, 3, 1));
        Assert.Equal(await ExportLinesAsync("txt"), await ReportAsync());
    }

    /// <summary>The layout of the sub-buffers is the guest's word, and a .dat's are ours.</summary>
    [TraceCmdFact]
    public async Task Layout_that_the_sub_buffers_do_not_have_misleads_no_reader()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 3));
        string[] text = await ExportLinesAsync("txt");
        Dictionary<string, byte[]> files = SampleTrace.Headers.ToDictionary(f => f.Key, f => Encoding.ASCII.GetBytes(f.Value.Replace("size:8;\tsigned:1", "size:4;\tsigned:1", StringComparison.Ordinal)));
        files["events/demo/tick/format"] = Encoding.ASCII.GetBytes(SampleTrace.Format);
        files["saved_cmdlines"] = Encoding.ASCII.GetBytes($"{SampleTrace.Pid} ticker\n");
        _trace.WriteMetadata(files);
        Assert.Equal(text, await ReportAsync());
        files.Remove("events/header_page");
        _trace.WriteMetadata(files);
        Assert.Equal(text, await ReportAsync());
    }

    [Fact]
    public async Task Events_behind_a_length_that_cannot_be_are_a_loss()
    {
        byte[] page = SampleTrace.SubBufferOf(Start, 0, 10);
        // The fifth event says that it is as long as any word can.
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(16 + 4 * 24), 0xFFFF_FFF0_0000_0000);
        _trace.WriteSegment(0, Start, page, SampleTrace.SubBufferOf(Start + 500_000, 3, 1));
        string file = Path.Combine(_store.Root, "out.txt");
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", file);
        Assert.Equal(0, exitCode);
        string[] lines = await File.ReadAllLinesAsync(file);
        Assert.Equal(["CPU:0 [EVENTS DROPPED]", SampleTrace.Line(0, Start + 500_000, 3)], lines[5..]);
        Assert.Contains($"1 places in the stored files, the first of them in cpu0/{StorePaths.SegmentName(Start, SampleTrace.SubBufferBytes)},", error, StringComparison.Ordinal);
        Assert.Contains("lost an unknown number in 1 places", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("txt")]
    [InlineData("ndjson")]
    [InlineData("pftrace")]
    public async Task Export_stays_in_proportion_to_what_is_stored(string format)
    {
        string many = string.Concat(Enumerable.Range(0, 500).Select(i => string.Create(CultureInfo.InvariantCulture, $"\tfield:unsigned short f{i}[0];\toffset:8;\tsize:0;\tsigned:0;\n")));
        foreach ((string name, string fields, string print, string comm) in new[]
        {
            ("tick", OneField, "\"x\"", new string('x', 4 << 20)),
            ("tick", OneField.Replace(" a;", $" {new string('a', 60_000)};", StringComparison.Ordinal), "\"x\"", "x"),
            (new string('e', 60_000), OneField, "\"x\"", "x"),
            ("tick", many, "x", "x"),
            ("tick", many, "\"%s\", __print_array(__get_dynamic_array(f1), 60000, 2)", "x"),
        })
        {
            Write(name, fields, print, $"{SampleTrace.Pid} {comm}\n");
            const int events = 100 * 40;
            _trace.WriteSegment(0, Start, Enumerable.Range(0, 100).Select(page => SampleTrace.SubBufferOf(Start + (ulong)page * 1_000_000, 1000, Enumerable.Repeat(Payload(88), 40))));
            Stopwatch watch = Stopwatch.StartNew();
            string file = await _store.ExportAsync(format);
            Assert.InRange(watch.Elapsed, TimeSpan.Zero, Longest);
            Assert.InRange(new FileInfo(file).Length, 1, events * (MostBytesByEvent + 88 * MostBytesByPayloadByte));
        }
    }

    [Fact]
    public async Task Symbols_of_any_length_and_number_take_no_time()
    {
        foreach (string symbols in new[] { string.Concat(Enumerable.Repeat(" a", 2 << 20)), "+0 T " + new string('n', 30 << 20) + "\n+1000000 T z\n" })
        {
            Write("tick", OneField, "\"%pS %d\", (void *)REC->a, a + vmemmap_base", $"{SampleTrace.Pid} x\n", symbols);
            _trace.WriteSegment(0, Start, Enumerable.Range(0, 50).Select(page => SampleTrace.SubBufferOf(Start + (ulong)page * 1_000_000, 1000, Enumerable.Repeat(Payload(16, 0xffffffff81000100), 100))));
            Stopwatch watch = Stopwatch.StartNew();
            Assert.InRange(new FileInfo(await _store.ExportAsync("txt")).Length, 1, 50 * 100 * 200);
            Assert.InRange(new FileInfo(await _store.ExportAsync("pftrace")).Length, 1, 50 * 100 * 200);
            Assert.InRange(watch.Elapsed, TimeSpan.Zero, Longest);
        }
    }

    [Fact]
    public async Task Number_of_lost_events_that_cannot_be_is_none()
    {
        byte[] page = SampleTrace.SubBufferOf(Start + 500_000, 3, 1);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), 24 | 3u << 30);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(16 + 24), ulong.MaxValue);
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1), page);
        Assert.Equal("CPU:0 [EVENTS DROPPED]", (await ExportLinesAsync("txt"))[2]);
    }

    /// <summary>U+202E turns the rest of a line around.</summary>
    [Fact]
    public async Task Json_escapes_what_would_reorder_text_on_a_terminal()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1, text: "<é\u202e>"));
        Assert.Contains("\"text\":\"<é\\u202E>\"", (await ExportLinesAsync("ndjson"))[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Formats_that_share_one_file_are_not_written_out_one_by_one()
    {
        Dictionary<string, byte[]> files = new() { ["events/header_page"] = [], ["events/header_event"] = [] };
        byte[] large = Encoding.ASCII.GetBytes($"name: tick\nID: {EventId}\nformat:\n{Common}{OneField}\nprint fmt: \"{new string('x', 60_000)}\"\n");
        for (int i = 0; i < 4000; i++)
        {
            files[string.Create(CultureInfo.InvariantCulture, $"events/demo/e{i}/format")] = large;
        }
        _trace.WriteMetadata(files);
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        string file = Path.Combine(_store.Root, "out.dat");
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", file);
        Assert.Equal(0, exitCode);
        Assert.InRange(new FileInfo(file).Length, 1, 1 << 20);
        Assert.Contains("3999 metadata files cannot be used", error.Replace(",", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    /// <summary>
    /// Times; without unknown events, which have none, and with losses that follow on each other as one. Of an event that is shorter than its fields trace-cmd prints what
    /// lies behind it.
    /// </summary>
    private static List<string> Comparable(List<string> lines)
    {
        List<string> comparable = [];
        foreach (string line in lines.Where(line => !line.StartsWith("[UNKNOWN EVENT]", StringComparison.Ordinal)))
        {
            bool isLoss = line.StartsWith("CPU:0 [", StringComparison.Ordinal);
            if (!isLoss || comparable[^1] != "loss")
            {
                comparable.Add(isLoss ? "loss" : line.Contains("[000]", StringComparison.Ordinal) ? line[line.IndexOf("[000]", StringComparison.Ordinal)..line.IndexOf("tick:", StringComparison.Ordinal)] : line);
            }
        }
        comparable.Add(string.Create(CultureInfo.InvariantCulture, $"{lines.Count(line => line.StartsWith("[UNKNOWN EVENT]", StringComparison.Ordinal))} unknown events"));
        return comparable;
    }

    private static byte[] Mutate(Random random, byte[] page)
    {
        for (int i = random.Next(1, 6); i > 0; i--)
        {
            // An event's own word, or the word behind it.
            int at = 16 + 24 * random.Next(60) + random.Next(8);
            page[at] = random.Next(3) switch { 0 => (byte)random.Next(29, 32), 1 => (byte)random.Next(256), _ => (byte)(random.Next(2) * 255) };
        }
        if (random.Next(3) == 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(8), (uint)random.NextInt64());
        }
        return page;
    }

    private void Write(string name, string fields, string print, string savedCommandLines, string? symbols = null)
    {
        string segment = _trace.WriteSegment(0, Start);
        File.Delete(segment);
        Dictionary<string, byte[]> files = new(SampleTrace.Headers.ToDictionary(f => f.Key, f => Encoding.ASCII.GetBytes(f.Value)))
        {
            ["events/demo/tick/format"] = Encoding.ASCII.GetBytes($"name: {name}\nID: {EventId}\nformat:\n{Common}{fields}\nprint fmt: {print}\n"),
            ["saved_cmdlines"] = Encoding.ASCII.GetBytes(savedCommandLines),
        };
        if (symbols is not null)
        {
            files["kallsyms"] = Encoding.ASCII.GetBytes(symbols);
            files["kallsyms-boot"] = "ffffffff81000000 _text\n"u8.ToArray();
        }
        _trace.WriteMetadata(files);
    }

    private static byte[] Payload(int bytes, ulong number = ulong.MaxValue)
    {
        byte[] payload = new byte[bytes];
        payload.AsSpan(8).Fill(0xFF);
        BinaryPrimitives.WriteUInt16LittleEndian(payload, EventId);
        BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(4), SampleTrace.Pid);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(8), number);
        return payload;
    }

    private async Task<string[]> ExportLinesAsync(string format) => await File.ReadAllLinesAsync(await _store.ExportAsync(format));

    private async Task<List<string>> ReportAsync()
    {
        List<string> lines = [];
        await TraceCmdReport.PrintAsync(await _store.ExportAsync("dat"), lines.Add);
        return lines;
    }
}
