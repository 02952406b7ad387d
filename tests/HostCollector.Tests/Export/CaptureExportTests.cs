using System.Text;
using System.Text.Json.Nodes;
using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>The small recordings of real guests as stores, exported and compared with what trace-cmd once made of their raw sub-buffers.</summary>
public sealed class CaptureExportTests : IDisposable
{
    private readonly SampleStore _store = new();

    public static TheoryData<string> Files => ReportTests.Files;

    public void Dispose() => _store.Dispose();

    [Theory]
    [MemberData(nameof(Files))]
    public async Task Perfetto_has_the_events_of_the_ndjson(string file)
    {
        new SampleTrace(_store).WriteCapture(CaptureFile.Read(Path.Combine(ReportTests.Folder, file)));
        PerfettoTrace trace = new(await File.ReadAllBytesAsync(await _store.ExportAsync("pftrace")));
        Assert.Null(trace.DifferenceTo(File.ReadLines(await _store.ExportAsync("ndjson"))));
        Assert.NotEmpty(trace.Events);
    }

    /// <summary>It has stacks of kernel and user, whose lines are trace-cmd's.</summary>
    [Fact]
    public async Task Text_is_what_trace_cmd_reported()
    {
        CaptureFile capture = CaptureFile.Read(Path.Combine(ReportTests.Folder, "Linux61-probes.zip"));
        new SampleTrace(_store).WriteCapture(capture);
        Assert.Contains(capture.Report, line => line.StartsWith("=> ", StringComparison.Ordinal));
        Assert.Equal(capture.Report.Where(IsOfTheTrace), (await File.ReadAllLinesAsync(await _store.ExportAsync("txt"), Encoding.Latin1)).Where(IsOfTheTrace));
    }

    /// <summary>Entry and return of a function that called no other are one line, but not where events are missing between them: it may have called any.</summary>
    [Fact]
    public async Task Function_is_not_folded_over_a_loss()
    {
        CaptureFile capture = CaptureFile.Read(Path.Combine(ReportTests.Folder, "Linux61-graph.zip"));
        EventCatalog catalog = capture.Catalog();
        EventFormat entry = catalog.Find("ftrace", "funcgraph_entry")!;
        FieldFormat function = entry.Find("func")!;
        FieldFormat ofReturn = catalog.Find("ftrace", "funcgraph_exit")!.Find("func")!;
        byte[][] payloads = Mutator.Payloads(capture);
        int leaf = Enumerable.Range(0, payloads.Length - 1).First(i => Id(payloads[i]) == entry.Id && Id(payloads[i + 1]) == catalog.Find("ftrace", "funcgraph_exit")!.Id
            && function.Number(payloads[i]) == ofReturn.Number(payloads[i + 1]));
        foreach (bool isLost in new[] { false, true })
        {
            SampleTrace trace = new(_store);
            trace.WriteCapture(capture with { Cpus = [] });
            byte[] second = SampleTrace.SubBufferOf(2_000_000, 1000, [payloads[leaf + 1]]);
            Assert.True(!isLost || SubBufferCut.TryMarkLoss(second, 7));
            trace.WriteSegment(0, 1_000_000, SampleTrace.SubBufferOf(1_000_000, 1000, [payloads[leaf]]), second);
            string[] lines = await File.ReadAllLinesAsync(await _store.ExportAsync("txt"));
            Assert.Equal(isLost ? 4 : 2, lines.Length);
            Assert.Equal(isLost, lines.Contains("CPU:0 [7 EVENTS DROPPED]"));
        }

        static int Id(byte[] payload) => BitConverter.ToUInt16(payload);
    }

    /// <summary>Its fields are an address and packed arguments.</summary>
    [Fact]
    public async Task Text_of_a_trace_printk_is_in_every_format()
    {
        CaptureFile capture = CaptureFile.Read(Path.Combine(ReportTests.Folder, "made-trace-printk.zip"));
        new SampleTrace(_store).WriteCapture(capture);
        string[] reported = [.. capture.Report.Where(line => line.Contains(": bprint:", StringComparison.Ordinal))];
        JsonNode[] events = [.. File.ReadLines(await _store.ExportAsync("ndjson")).Select(line => JsonNode.Parse(line)!).Where(line => line["event"]?.GetValue<string>() == "bprint")];
        PerfettoEvent[] prints = [.. new PerfettoTrace(await File.ReadAllBytesAsync(await _store.ExportAsync("pftrace"))).Events.Values.SelectMany(e => e).Where(e => e.Name == "print")];
        Assert.NotEmpty(reported);
        Assert.Equal(reported.Length, events.Length);
        Assert.Equal(reported.Length, prints.Length);
        foreach ((string line, (JsonNode json, PerfettoEvent print)) in reported.Zip(events.Zip(prints)))
        {
            Assert.EndsWith($": {json["text"]!.GetValue<string>()}".TrimEnd('\n'), line, StringComparison.Ordinal);
            Assert.Equal(json["text"]!.GetValue<string>(), print.Message.Text(2));
        }
    }

    /// <summary>The numbers alone are another boot's.</summary>
    [Fact]
    public async Task Json_has_the_names_of_addresses_in_the_kernels_code()
    {
        CaptureFile capture = CaptureFile.Read(Path.Combine(ReportTests.Folder, "Linux61-function.zip"));
        new SampleTrace(_store).WriteCapture(capture);
        JsonNode[] events = [.. File.ReadLines(await _store.ExportAsync("ndjson")).Select(line => JsonNode.Parse(line)!).Where(line => line["event"]?.GetValue<string>() == "function")];
        string[] names = [.. events.Select(e => e["symbols"]?["ip"]?.GetValue<string>().Split('+')[0] ?? "")];
        string[] reported = [.. capture.Report.Where(line => line.Contains(": function:", StringComparison.Ordinal)).Select(line => line.Split(": function:")[1].Trim())];
        Assert.NotEmpty(reported);
        Assert.Equal(reported.Order(), names.Order());
    }

    [TraceCmdFact]
    public async Task Trace_cmd_reports_of_each_dat_what_it_reported_of_the_raw_sub_buffers()
    {
        foreach (string file in Directory.GetFiles(ReportTests.Folder, "*.zip"))
        {
            CaptureFile capture = CaptureFile.Read(file);
            new SampleTrace(_store).WriteCapture(capture);
            List<string> found = [];
            await TraceCmdReport.PrintAsync(await _store.ExportAsync("dat"), found.Add);
            Assert.Equal(capture.Report.Where(IsOfTheTrace), found.Where(IsOfTheTrace));
        }
    }

    /// <summary>Not the head of the report, and not the empty end of a file.</summary>
    private static bool IsOfTheTrace(string line) => line.Length > 0 && !line.StartsWith("cpus=", StringComparison.Ordinal);
}
