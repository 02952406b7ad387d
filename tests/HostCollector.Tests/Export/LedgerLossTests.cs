using System.Globalization;
using System.Text;
using VsockPair.History;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.Tracing;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>What the ledgers say is lost is told by every export: in its place, with its number, and once.</summary>
public sealed class LedgerLossTests : IDisposable
{
    /// <summary>Trace clock of the first event, at <see cref="SampleStore.Noon"/>. A sub-buffer each second follows.</summary>
    private const ulong Start = 100_000_000_000;
    private const int Pages = 10;

    private readonly SampleStore _store = new();
    private readonly SampleTrace _trace;

    public LedgerLossTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon.AddSeconds(-100));
        _trace = new SampleTrace(_store);
        _trace.WriteMetadata();
    }

    public void Dispose() => _store.Dispose();

    /// <summary>The collector writes such a line with its time alone, after the figures that it heard.</summary>
    [Theory]
    [InlineData("no sub-buffer tells of it", 3.5, "", "4:1000")]
    [InlineData("one that is read after the figures", 3.5, "4", "4:1000")]
    [InlineData("one that is read before the figures", 6.5, "4", "4:1000")]
    [InlineData("one tells its own number", 6.5, "4:300 6", "4:300 6:700")]
    [InlineData("all tell their own numbers", 6.5, "4:300 6:700", "4:300 6:700")]
    [InlineData("one tells all of it, later", 3.5, "4:1000", "4:1000")]
    [InlineData("several tell of parts", 6.5, "4 5 6", "4:1000 5 6")]
    [InlineData("one that the figures do not include yet", 6.5, "4 8", "4:1000 8:?")]
    [InlineData("one that tells of more than the figures include", 6.5, "4:1500", "4:1500")]
    public async Task Number_of_the_rings_losses_stands_where_sub_buffers_tell_of_them(string what, double written, string flags, string told)
    {
        WritePages(flags);
        AddLoss(new LossRecord { Time = SampleStore.Noon.AddSeconds(written), Source = "ring", Stream = "cpu0", Events = 1000 });
        await TellsAsync(told, what);
    }

    [Fact]
    public async Task Each_line_is_told_once()
    {
        WritePages("2 4:300 7");
        AddLoss(
            new LossRecord { Time = SampleStore.Noon.AddSeconds(2.5), Source = "ring", Stream = "cpu0", Events = 10 },
            // 100 of these are in the next line's sub-buffer already.
            new LossRecord { Time = SampleStore.Noon.AddSeconds(4.5), Source = "ring", Stream = "cpu0", Events = 200 },
            new LossRecord { Time = SampleStore.Noon.AddSeconds(6.5), Source = "ring", Stream = "cpu0", Events = 1100 });
        await TellsAsync("2:10 4:300 7:1000", "three lines");
    }

    [TraceCmdFact]
    public async Task Trace_cmd_shows_them_as_well()
    {
        WritePages("4:300 6 8");
        AddLoss(
            new LossRecord { Time = SampleStore.Noon.AddSeconds(6.5), Source = "ring", Stream = "cpu0", Events = 1000 },
            new LossRecord { Time = SampleStore.Noon.AddSeconds(5.5), Source = "transport", Stream = "cpu0", First = Start + 1_000_000_000, Events = 7 });
        Assert.Equal(await ExportLinesAsync("txt"), await ReportAsync());
    }

    [Fact]
    public async Task Without_a_clock_the_number_stands_at_the_first_place_that_is_told_of()
    {
        File.Delete(StorePaths.Clock(_store.BootFolder(SampleStore.NewBoot)));
        WritePages("4 6");
        AddLoss(new LossRecord { Time = SampleStore.Noon, Source = "ring", Stream = "cpu0", Events = 1000 });
        await TellsAsync("4:1000 6", "no clock");
    }

    [Fact]
    public async Task Number_that_is_not_all_is_told_as_such()
    {
        WritePages("");
        AddLoss(
            new LossRecord { Time = SampleStore.Noon, Source = "transport", Stream = "cpu0", First = Start, Events = 7 },
            new LossRecord { Time = SampleStore.Noon, Source = "disk", Stream = "cpu0", First = Start + 1, Events = null });
        string[] lines = await ExportLinesAsync("txt");
        Assert.Equal(["CPU:0 [7 EVENTS DROPPED]", "CPU:0 [EVENTS DROPPED]"], lines[2..4]);
        Assert.Contains("\"lost\":7,\"more\":true}", await File.ReadAllTextAsync(await _store.ExportAsync("ndjson")), StringComparison.Ordinal);
        PerfettoTrace trace = new(await File.ReadAllBytesAsync(await _store.ExportAsync("pftrace")));
        Assert.Equal("at least 7 events lost on cpu0", Assert.Single(trace.Instants).Name);
        Assert.Contains("7 lost, and an unknown number in 1 places", await SummaryAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Vcpu_of_which_nothing_is_stored_tells_what_it_lost()
    {
        WritePages("");
        AddLoss(new LossRecord { Time = SampleStore.Noon.AddSeconds(3), Source = "transport", Stream = "cpu3", First = Start, Events = 1000 });
        Assert.Equal("CPU:3 [1000 EVENTS DROPPED]", (await ExportLinesAsync("txt"))[^1]);
        Assert.Contains(", 1000 lost", (await SummaryAsync()).Replace("1,000", "1000", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal(["cpus=4", "CPU:3 [1000 EVENTS DROPPED]"], await ExportLinesAsync("txt", "--cpu", "3"));
        Assert.Contains("CPU: 3\nentries: 0\noverrun: 0\nread events: 0\nlost in transport: 1000\nremoved by retention: 0\nlost after the last event: 1000\n", await DatAsync(), StringComparison.Ordinal);
    }

    [TraceCmdFact]
    public async Task Trace_cmd_reads_a_dat_with_a_vcpu_of_which_nothing_is_stored()
    {
        WritePages("");
        AddLoss(new LossRecord { Time = SampleStore.Noon.AddSeconds(3), Source = "transport", Stream = "cpu3", First = Start, Events = 1000 });
        Assert.Equal((await ExportLinesAsync("txt"))[1..^1], (await ReportAsync()).Where(line => line.Contains("tick:", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Range_that_holds_only_a_loss_is_not_empty()
    {
        WritePages("");
        AddLoss(new LossRecord { Time = SampleStore.Noon.AddSeconds(3), Source = "transport", Stream = "cpu0", First = Start + 2_000_000_000, Last = Start + 2_900_000_000, Events = 9 });
        Assert.Equal(["cpus=1", "CPU:0 [9 EVENTS DROPPED]"], await ExportLinesAsync("txt", "-S", "boot+102.1", "-U", "boot+102.8"));
        AddLoss(new LossRecord { Time = SampleStore.Noon.AddSeconds(20), Source = "transport", Stream = "cpu0", First = Start + 20_000_000_000, Last = Start + 21_000_000_000, Events = 8 });
        Assert.Equal(["cpus=1", "CPU:0 [8 EVENTS DROPPED]"], await ExportLinesAsync("txt", "-S", "boot+120.5"));
        (int exitCode, _, _) = await _store.RunAsync("export", "web1", "-o", "-", "--format", "txt", "-S", "boot+122");
        Assert.Equal(3, exitCode);
    }

    [Fact]
    public async Task Damaged_places_are_losses_and_the_file_is_named()
    {
        string file = _trace.WriteSegment(0, Start, PageOf(0), [.. Enumerable.Repeat((byte)0xFF, SampleTrace.SubBufferBytes)], new byte[SampleTrace.SubBufferBytes], PageOf(3));
        string broken = _trace.WriteSegment(0, Start + 4_000_000_000, PageOf(4));
        File.Move(broken, broken + ".zst");
        Assert.Equal(["CPU:0 [EVENTS DROPPED]", SampleTrace.Line(0, Start + 3_000_000_000, 3), "CPU:0 [EVENTS DROPPED]"], (await ExportLinesAsync("txt"))[2..]);
        string[] summaries = [await SummaryAsync("txt"), await SummaryAsync("dat"), await SummaryAsync("ndjson"), await SummaryAsync("pftrace")];
        Assert.All(summaries, summary => Assert.Contains($"3 places in the stored files, the first of them in cpu0/{Path.GetFileName(file)},", summary, StringComparison.Ordinal));
        Assert.All(summaries, summary => Assert.Contains("2 events of boot", summary, StringComparison.Ordinal));
        Assert.All(summaries, summary => Assert.Contains("lost an unknown number in 2 places", summary, StringComparison.Ordinal));
    }

    [TraceCmdFact]
    public async Task One_large_sub_buffer_among_small_ones_makes_no_large_file()
    {
        WritePages("4");
        string folder = StorePaths.Vcpu(_store.BootFolder(SampleStore.NewBoot), 1);
        Directory.CreateDirectory(folder);
        byte[] large = new byte[1 << 19];
        byte[] page = SampleTrace.SubBufferOf(Start, 0, SampleTrace.MostEvents);
        int data = SampleTrace.MostEvents * 24;
        page.CopyTo(large, 0);
        for (int i = 1; i < 100; i++)
        {
            page.AsSpan(SubBuffer.HeaderBytes, data).CopyTo(large.AsSpan(SubBuffer.HeaderBytes + i * data));
        }
        BitConverter.TryWriteBytes(large.AsSpan(8), (ulong)(100 * data));
        File.WriteAllBytes(Path.Combine(folder, StorePaths.SegmentName(Start, large.Length)), large);
        string file = await _store.ExportAsync("dat");
        Assert.InRange(new FileInfo(file).Length, 100 * data, 1 << 20);
        string[] text = await ExportLinesAsync("txt");
        Assert.Equal(2 + Pages + 100 * SampleTrace.MostEvents, text.Length);
        Assert.Equal(text, await ReportAsync());
    }

    /// <summary>One event each.</summary>
    /// <param name="flags">Sub-buffers that tell of a loss, some with a number.</param>
    private void WritePages(string flags)
    {
        Dictionary<int, ulong?> lost = flags.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(f => f.Split(':')).ToDictionary(f => int.Parse(f[0], CultureInfo.InvariantCulture), f => f.Length > 1 ? ulong.Parse(f[1], CultureInfo.InvariantCulture) : (ulong?)null);
        _trace.WriteSegment(0, Start, Enumerable.Range(0, Pages).Select(i =>
        {
            byte[] page = PageOf(i);
            if (lost.TryGetValue(i, out ulong? events))
            {
                Assert.True(SubBufferCut.TryMarkLoss(page, events));
            }
            return page;
        }));
    }

    private static byte[] PageOf(int number) => SampleTrace.SubBufferOf(Start + (ulong)number * 1_000_000_000, number, 1);

    private void AddLoss(params LossRecord[] losses) => SampleStore.AddLosses(_store.BootFolder(SampleStore.NewBoot), losses);

    /// <param name="told">The numbers of events and what is lost before them: how many, ? if that is unknown, nothing if it is told before.</param>
    private async Task TellsAsync(string told, string what)
    {
        StringBuilder found = new();
        string[] lines = await ExportLinesAsync("txt");
        string[] json = [.. (await ExportLinesAsync("ndjson")).Where(line => line.Contains("\"lost\":", StringComparison.Ordinal))];
        int losses = 0;
        for (int i = 0; i < lines.Length; i++)
        {
            if (!lines[i].StartsWith("CPU:", StringComparison.Ordinal))
            {
                continue;
            }
            string loss = json[losses++].Split("\"lost\":")[1].TrimEnd('}');
            string place = lines[i + 1].Split("value=")[1].Split(' ')[0];
            found.Append(loss switch { "0" => $" {place}", "null" => $" {place}:?", _ => $" {place}:{loss}" });
            Assert.Equal(loss is "0" or "null" ? "CPU:0 [EVENTS DROPPED]" : $"CPU:0 [{loss} EVENTS DROPPED]", lines[i]);
        }
        Assert.True(told == found.ToString().Trim(), $"{what}: {found}");
        Assert.Equal(told.Contains('?', StringComparison.Ordinal), (await SummaryAsync()).Contains("unknown", StringComparison.Ordinal));
    }

    private async Task<string> SummaryAsync(string format = "txt")
    {
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", Path.Combine(_store.Root, "summary." + format));
        Assert.Equal(0, exitCode);
        return error;
    }

    private async Task<string> DatAsync() => Encoding.Latin1.GetString(await File.ReadAllBytesAsync(await _store.ExportAsync("dat")));

    private async Task<string[]> ExportLinesAsync(string format, params string[] options) => await File.ReadAllLinesAsync(await _store.ExportAsync(format, options));

    private async Task<List<string>> ReportAsync()
    {
        List<string> lines = [];
        await TraceCmdReport.PrintAsync(await _store.ExportAsync("dat"), lines.Add);
        return lines;
    }
}
