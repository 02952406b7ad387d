using System.Buffers.Binary;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.Storage;
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
        WriteStore(CaptureFile.Read(Path.Combine(ReportTests.Folder, file)));
        PerfettoTrace trace = new(await File.ReadAllBytesAsync(await ExportAsync("pftrace")));
        Assert.Null(trace.DifferenceTo(File.ReadLines(await ExportAsync("ndjson"))));
        Assert.NotEmpty(trace.Events);
    }

    [TraceCmdFact]
    public async Task Trace_cmd_reports_of_each_dat_what_it_reported_of_the_raw_sub_buffers()
    {
        foreach (string file in Directory.GetFiles(ReportTests.Folder, "*.zip"))
        {
            CaptureFile capture = CaptureFile.Read(file);
            WriteStore(capture);
            List<string> found = [];
            await TraceCmdReport.PrintAsync(await ExportAsync("dat"), found.Add);
            Assert.Equal(capture.Report.Where(IsOfTheTrace), found.Where(IsOfTheTrace));
        }
    }

    /// <summary>Not the head of the report, and not the empty end of a file.</summary>
    private static bool IsOfTheTrace(string line) => line.Length > 0 && !line.StartsWith("cpus=", StringComparison.Ordinal);

    private void WriteStore(CaptureFile capture)
    {
        if (Directory.Exists(StorePaths.Guests(_store.Root)))
        {
            Directory.Delete(StorePaths.Guests(_store.Root), recursive: true);
        }
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        new SampleTrace(_store).WriteMetadata(capture.Metadata);
        for (int cpu = 0; cpu < capture.Cpus.Count; cpu++)
        {
            byte[] bytes = capture.Cpus[cpu];
            if (bytes.Length > 0)
            {
                string folder = StorePaths.Vcpu(_store.BootFolder(SampleStore.NewBoot), cpu);
                Directory.CreateDirectory(folder);
                File.WriteAllBytes(Path.Combine(folder, StorePaths.SegmentName(BinaryPrimitives.ReadUInt64LittleEndian(bytes), capture.SubBufferBytes)), bytes);
            }
        }
    }

    private async Task<string> ExportAsync(string format)
    {
        string file = Path.Combine(_store.Root, "out." + format);
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", file);
        Assert.True(exitCode == 0, error);
        return file;
    }
}
