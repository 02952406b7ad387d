using System.Text;
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
