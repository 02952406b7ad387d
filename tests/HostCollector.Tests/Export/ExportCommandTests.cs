using System.Text;
using System.Text.Json;
using Mono.Unix.Native;
using VsockPair.Commands;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Export;

public sealed class ExportCommandTests : IDisposable
{
    /// <summary>Trace clock of the first event; host time is noon then (<see cref="SampleStore.Noon"/> is 100 s of the trace clock).</summary>
    private const ulong Start = 100_000_000_000;

    private readonly SampleStore _store = new();
    private readonly SampleTrace _trace;

    public ExportCommandTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon.AddSeconds(-100));
        _trace = new SampleTrace(_store);
        _trace.WriteMetadata();
    }

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task Text_has_the_events_of_all_vcpus_in_the_order_of_their_times()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2), SampleTrace.SubBufferOf(Start + 5000, 2, 1));
        _trace.WriteSegment(2, Start + 500, SampleTrace.SubBufferOf(Start + 500, 100, 1), SampleTrace.SubBufferOf(Start + 1000, 101, 1));
        Assert.Equal(
        [
            "cpus=3",
            SampleTrace.Line(0, Start, 0),
            SampleTrace.Line(2, Start + 500, 100),
            SampleTrace.Line(0, Start + 1000, 1),
            SampleTrace.Line(2, Start + 1000, 101),
            SampleTrace.Line(0, Start + 5000, 2),
        ],
        await ExportLinesAsync("txt"));
    }

    [Fact]
    public async Task Text_neutralises_what_a_guest_could_do_to_a_terminal()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1, text: "\u001b[2J\u009b"));
        string line = (await ExportLinesAsync("txt"))[1];
        Assert.EndsWith("text=\\x1b[2J\\u{9b}", line, StringComparison.Ordinal);
        Assert.Contains("\"text\":\"\\u001B[2J\\u009B\"", (await ExportLinesAsync("ndjson"))[1], StringComparison.Ordinal);
    }

    /// <summary>The thread's name would begin a line that looks like an event, its text one that looks like a stack; the format is a kernel's that lies.</summary>
    [Fact]
    public async Task Text_has_one_line_for_each_event_whatever_a_guest_writes()
    {
        _trace.WriteMetadata(new Dictionary<string, byte[]>
        {
            ["events/demo/tick/format"] = Encoding.ASCII.GetBytes("name: tick\nID: 300\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
                + "\tfield:char text[8];\toffset:12;\tsize:8;\tsigned:0;\n\nprint fmt: \"%s\\nCPU:0 [9 EVENTS DROPPED]\\n=> ours\\n\", REC->text\n"),
        });
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1, text: "\r\n=> x\v"));
        string[] lines = await ExportLinesAsync("txt");
        Assert.EndsWith(": tick:                 \\x0d\\x0a=> x\\x0b\\x0aCPU:0 [9 EVENTS DROPPED]", lines[1], StringComparison.Ordinal);
        Assert.Equal(["=> ours"], lines[2..]);

        new SampleSwitches(_store, "10 a\n").Write(1, Start, (0, "swapper", 10, "b\ncpus=9"), (10, "\n\n", 0, "swapper"));
        lines = await ExportLinesAsync("txt", "--cpu", "1");
        Assert.Equal(3, lines.Length);
        Assert.EndsWith("==> b\\x0acpus=9:10 [120]", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("        b\\x0acpus=9-10 ", lines[2], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Range_keeps_exactly_its_events()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 100), SampleTrace.SubBufferOf(Start + 100_000, 100, 100));
        _trace.WriteSegment(0, Start + 200_000, SampleTrace.SubBufferOf(Start + 200_000, 200, 100));
        string[] lines = await ExportLinesAsync("txt", "-S", "boot+100.000050", "-U", "boot+100.000249");
        Assert.Equal(200, lines.Length - 1);
        Assert.Equal(SampleTrace.Line(0, Start + 50_000, 50), lines[1]);
        Assert.Equal(SampleTrace.Line(0, Start + 249_000, 249), lines[^1]);
    }

    [TraceCmdFact]
    public async Task Trace_cmd_reads_a_range_of_a_dat_as_the_text_has_it()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, SampleTrace.MostEvents), SampleTrace.SubBufferOf(Start + 500_000, 500, 100));
        _trace.WriteSegment(3, Start + 10, SampleTrace.SubBufferOf(Start + 10, 1000, 100));
        string[] range = ["-S", "boot+100.000050", "-U", "boot+100.000520"];
        Assert.Equal(await ExportLinesAsync("txt", range), await ReportAsync(range));
        Assert.Equal(await ExportLinesAsync("txt", "--cpu", "3"), await ReportAsync("--cpu", "3"));
    }

    [TraceCmdFact]
    public async Task On_the_hosts_clock_text_and_trace_cmd_show_the_hosts_time()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 100));
        _trace.WriteSegment(3, Start + 10_000_000, SampleTrace.SubBufferOf(Start + 10_000_000, 1000, 100));
        string[] lines = await ExportLinesAsync("txt", "--clock", "host");
        ulong noon = (ulong)(SampleStore.Noon - DateTimeOffset.UnixEpoch).Ticks * 100;
        Assert.Equal(SampleTrace.Line(0, noon, 0), lines[1]);
        Assert.Equal(SampleTrace.Line(3, noon + 10_099_000, 1099), lines[^1]);
        Assert.Equal(lines[1..], (await ReportAsync("--clock", "host"))[1..]);
        Assert.NotEqual(lines[1], (await ExportLinesAsync("txt"))[1]);
    }

    [Fact]
    public async Task Host_clock_needs_a_sample_and_a_hosts_trace_needs_trace_cmds_format()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", "-", "--format", "txt", "--host-trace", "host.dat");
        Assert.Equal(ExitCode.Usage, exitCode);
        Assert.Contains("use --clock host", error, StringComparison.Ordinal);
        File.Delete(StorePaths.Clock(_store.BootFolder(SampleStore.NewBoot)));
        (exitCode, _, error) = await _store.RunAsync("export", "web1", "-o", "-", "--format", "txt", "--clock", "host");
        Assert.Equal(ExitCode.Failed, exitCode);
        Assert.Contains("has no clock sample", error, StringComparison.Ordinal);
        (exitCode, _, error) = await _store.RunAsync("export", "web1", "--clock", "sun");
        Assert.Equal(ExitCode.Usage, exitCode);
    }

    /// <summary>A loss in transport lies after the last sub-buffer stored before it; the next one is full to its last bytes.</summary>
    [TraceCmdFact]
    public async Task Losses_of_transport_and_retention_show_where_they_happened()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 3), SampleTrace.SubBufferOf(Start + 500_000, 500, SampleTrace.MostEvents));
        _trace.WriteSegment(1, Start + 700_000, SampleTrace.SubBufferOf(Start + 700_000, 0, 1));
        SampleStore.AddLosses(_store.BootFolder(SampleStore.NewBoot), new LossRecord { Time = SampleStore.Noon, Source = "transport", Stream = "cpu0", First = Start, Events = 7 });
        SampleStore.AddLosses(
            _store.Guest,
            Removed("cpu1", Start + 100, 40),
            Removed("cpu1", Start + 200, 2),
            // Its file is still there: it is not lost yet.
            Removed("cpu1", Start + 700_000, 1000) with { Files = [StorePaths.SegmentName(Start + 700_000, SampleTrace.SubBufferBytes)] });

        string[] lines = await ExportLinesAsync("txt");
        Assert.Equal(["CPU:0 [7 EVENTS DROPPED]", SampleTrace.Line(0, Start + 500_000, 500)], lines[4..6]);
        int removed = Array.IndexOf(lines, "CPU:1 [42 EVENTS DROPPED]");
        Assert.Equal(SampleTrace.Line(1, Start + 700_000, 0), lines[removed + 1]);
        Assert.Equal(2, lines.Count(l => l.Contains("DROPPED", StringComparison.Ordinal)));
        Assert.Equal(lines, await ReportAsync());
    }

    [Fact]
    public async Task Ndjson_has_an_object_for_each_event_and_each_loss()
    {
        byte[] second = SampleTrace.SubBufferOf(Start + 1_000_000, 1, 1, text: "a\"\n");
        second[11] |= 0x80;
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, -5, 1), second);
        string[] lines = await ExportLinesAsync("ndjson");
        Assert.Equal(
        [
            $"{{\"guest\":\"web1\",\"boot\":\"{SampleStore.NewBoot}\",\"kernel\":\"6.12.0-amd64\",\"build_id\":null,\"clock\":\"boot\",\"cpus\":[{{\"number\":0,\"overrun\":0,\"transport\":0,\"retention\":0}}]}}",
            "{\"time\":\"2026-01-31T12:00:00.000000000Z\",\"guest_time\":100000000000,\"cpu\":0,\"pid\":77,\"comm\":\"ticker\",\"system\":\"demo\",\"event\":\"tick\",\"fields\":{\"value\":-5,\"text\":\"abc\"}}",
            "{\"time\":\"2026-01-31T12:00:00.001000000Z\",\"guest_time\":100001000000,\"cpu\":0,\"lost\":null}",
            "{\"time\":\"2026-01-31T12:00:00.001000000Z\",\"guest_time\":100001000000,\"cpu\":0,\"pid\":77,\"comm\":\"ticker\",\"system\":\"demo\",\"event\":\"tick\",\"fields\":{\"value\":1,\"text\":\"a\\\"\\n\"}}",
        ],
        lines);
        Assert.All(lines, line => JsonDocument.Parse(line).Dispose());
    }

    [Fact]
    public async Task Torn_last_slot_of_a_killed_collector_is_left_out()
    {
        string segment = _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2));
        await File.AppendAllBytesAsync(segment, SampleTrace.SubBufferOf(Start + 9000, 2, 2)[..3000]);
        Assert.Equal(3, (await ExportLinesAsync("txt")).Length);
    }

    /// <summary>The guest crashed half a minute before noon and was up again at once: the last minute lies in two boots.</summary>
    [Fact]
    public async Task Range_over_two_boots_takes_the_newest_and_names_the_other()
    {
        _store.AddBoot(SampleStore.OldBoot, SampleStore.Noon.AddSeconds(-130));
        SampleTrace old = new(_store, SampleStore.OldBoot);
        old.WriteMetadata();
        old.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 5));
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2));
        (int exitCode, string output, string error) = await _store.RunAsync("export", "web1", "-o", Path.Combine(_store.Root, "out.txt"), "-S", "-60s");
        Assert.Equal((0, ""), (exitCode, output));
        Assert.Contains($"boot {SampleStore.OldBoot}, first seen", error, StringComparison.Ordinal);
        Assert.Contains($"2 events of boot {SampleStore.NewBoot}, none lost", error, StringComparison.Ordinal);
        Assert.Equal(6, (await ExportLinesAsync("txt", "-b", "-1")).Length);
        Assert.Equal(3, (await ExportLinesAsync("txt", "-S", "2026-01-31T11:59:50Z")).Length);
    }

    /// <summary>What is no file keeps its place: nobody wants a file in the place of /dev/null.</summary>
    [Fact]
    public async Task Pipe_is_written_as_the_export_goes()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2));
        string pipe = Path.Combine(_store.Root, "pipe.txt");
        Assert.Equal(0, Syscall.mkfifo(pipe, FilePermissions.S_IRUSR | FilePermissions.S_IWUSR));
        Task<string[]> reader = Task.Run(() => File.ReadAllLines(pipe));
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", pipe);
        Assert.True(exitCode == 0, error);
        Assert.Equal(3, (await reader).Length);
        await FailsAsync(2, "it needs a file", "export", "web1", "-o", pipe, "--format", "dat");
        Assert.Equal(0, Syscall.stat(pipe, out Stat still));
        Assert.Equal(FilePermissions.S_IFIFO, still.st_mode & FilePermissions.S_IFMT);
    }

    [Fact]
    public async Task Says_what_is_wrong()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2));
        string file = Path.Combine(_store.Root, "out");
        await FailsAsync(3, "no guest web9; known: web1", "export", "web9", "-o", file + ".dat");
        await FailsAsync(3, "no trace of web1 in that range", "export", "web1", "-o", file + ".dat", "-S", "boot+200");
        await FailsAsync(3, "nothing of cpu7 is stored", "export", "web1", "-o", file + ".dat", "--cpu", "7");
        await FailsAsync(2, "does not say the format; add --format, one of dat, pftrace, txt, ndjson", "export", "web1", "-o", file + ".pcap");
        await FailsAsync(2, "--format: there is no pcap", "export", "web1", "-o", file, "--format", "pcap");
        await FailsAsync(2, "cannot be written to -", "export", "web1", "-o", "-", "--format", "dat");
        await FailsAsync(1, "cannot be written", "export", "web1", "-o", Path.Combine(_store.Root, "no", "such", "folder.dat"));
        await FailsAsync(2, "-o is empty", "export", "web1", "-o", "");
        await FailsAsync(2, $"{_store.Root} is a folder; name a file in it", "export", "web1", "-o", _store.Root);
        await FailsAsync(2, "standard output has no name that says the format; add --format", "export", "web1", "-o", "-");
        await FailsAsync(2, "-b is empty", "export", "web1", "-o", file + ".dat", "-b", "");
        await FailsAsync(2, "--cpu: \"a\" is no vCPU; write a number", "export", "web1", "-o", file + ".dat", "--cpu", "a");
        await FailsAsync(2, "--cpu: \"0,1\" is no vCPU", "export", "web1", "-o", file + ".dat", "--cpu", "0,1");
        await FailsAsync(2, "--cpu: \"-1\" is no vCPU", "export", "web1", "-o", file + ".dat", "--cpu", "-1");
        await FailsAsync(2, "--clock: \"sun\" is no clock; write guest or host\n", "export", "web1", "--clock", "sun");
        await FailsAsync(1, $"cannot be written: there is no folder {_store.Root}/no/such\n", "export", "web1", "-o", Path.Combine(_store.Root, "no", "such", "folder.dat"));
        await FailsAsync(1, "write(/dev/full) failed: ENOSPC (28), no space left", "export", "web1", "-o", "/dev/full", "--format", "txt");
        Assert.Empty(Directory.GetFiles(_store.Root));
    }

    [Fact]
    public async Task Says_what_works_without_the_missing_metadata()
    {
        _trace.WriteMetadata(symbols: false);
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2));
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", Path.Combine(_store.Root, "out.dat"));
        Assert.Equal(0, exitCode);
        Assert.Contains("symbols (kallsyms, kallsyms-boot) of this boot are not stored: addresses have no names", error, StringComparison.Ordinal);
        Assert.Contains("2 events of boot", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Says_that_a_layout_is_not_the_one_that_is_read()
    {
        _trace.WriteMetadata(new Dictionary<string, byte[]> { ["events/header_page"] = "\tfield: local_t commit;\toffset:8;\tsize:4;\tsigned:1;\n\tfield: char data;\toffset:12;\tsize:4084;\tsigned:1;\n"u8.ToArray() });
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2));
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", Path.Combine(_store.Root, "out.txt"));
        Assert.Equal(0, exitCode);
        Assert.Contains("events/header_page of this boot does not describe the sub-buffers of a 64-bit kernel", error, StringComparison.Ordinal);
        _trace.WriteMetadata();
        (_, _, error) = await _store.RunAsync("export", "web1", "-o", Path.Combine(_store.Root, "out.txt"));
        Assert.DoesNotContain("header_page", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_left_of_an_export_that_fails_on_its_way()
    {
        string first = _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 2));
        _trace.WriteSegment(0, Start + 900, SampleTrace.SubBufferOf(Start + 10_000, 2, 2));
        // Between the two a segment that cannot be opened, for a reason that is not that it was removed.
        string broken = first.Replace("00000-", "00500-", StringComparison.Ordinal);
        File.CreateSymbolicLink(broken, broken);
        string file = Path.Combine(_store.Root, "out.txt");
        await File.WriteAllTextAsync(file, "what was there");
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", file);
        Assert.Equal(1, exitCode);
        Assert.Contains(Path.GetFileName(broken), error, StringComparison.Ordinal);
        Assert.Equal("what was there", await File.ReadAllTextAsync(file));
        Assert.Equal([file], Directory.GetFiles(_store.Root));
    }

    private static LossRecord Removed(string stream, ulong last, long events) => new()
    {
        Time = SampleStore.Noon, Source = "retention", Stream = stream, First = Start, Last = last, Events = events, Boot = SampleStore.NewBoot,
        Files = [StorePaths.SegmentName(last - 50, SampleTrace.SubBufferBytes)],
    };

    private async Task FailsAsync(int exitCode, string message, params string[] arguments)
    {
        (int found, _, string error) = await _store.RunAsync(arguments);
        Assert.Contains(message, error, StringComparison.Ordinal);
        Assert.Equal(exitCode, found);
    }

    private async Task<string[]> ExportLinesAsync(string format, params string[] options) => await File.ReadAllLinesAsync(await _store.ExportAsync(format, options));

    private async Task<List<string>> ReportAsync(params string[] options)
    {
        List<string> lines = [];
        await TraceCmdReport.PrintAsync(await _store.ExportAsync("dat", options), lines.Add);
        return lines;
    }
}
