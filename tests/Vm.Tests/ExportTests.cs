using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>
/// Exports of recordings made in real guests, against an outside judge: trace-cmd reports the same of our files as of a trace.dat that it restored itself from the
/// same raw segments. Four guests, five recordings each.
/// </summary>
public sealed partial class ExportTests(ITestOutputHelper output)
{
    private const string SavedNames = "saved_cmdlines";
    private const string Instance = "/sys/kernel/tracing/instances/vsockpair";
    private const string Probes = "/sys/kernel/tracing/kprobe_events";

    /// <summary>System calls with strings, forks, switches, printed and raw markers.</summary>
    private const string Activity = $"for i in 1 2 3 4 5 6; do cat /proc/uptime /etc/passwd /nowhere; echo mark $i > {Instance}/trace_marker; ls / | head -2; done >/dev/null 2>&1; true";

    [Theory]
    [InlineData(GuestKernel.Linux612, 1)]
    [InlineData(GuestKernel.Linux612, 3)]
    [InlineData(GuestKernel.Linux61, 2)]
    [InlineData(GuestKernel.Linux61, 4)]
    public async Task Trace_cmd_reports_the_same_as_of_its_own_file(GuestKernel kernel, int cpus)
    {
        await using RecordingBench bench = await RecordingBench.StartAsync(kernel, cpus);

        await CompareAsync("defaults", await bench.RecordAsync("", "true", g => LoadAsync(g, 2)));
        await CompareAsync("sched, irq, timer", await bench.RecordAsync("[Trace]\nEvents=sched irq timer\n", "true", g => LoadAsync(g, 1)));
        await CompareAsync("raw_syscalls, with overruns", await bench.RecordAsync("[Trace]\nEvents=raw_syscalls sched:sched_switch\nBufferKb=128\n", "true", async guest =>
        {
            bench.Lab.Collector.Signal(Signals.Stop);
            await LoadAsync(guest, 2);
            bench.Lab.Collector.Signal(Signals.Continue);
            await LoadAsync(guest, 0.5);
        }), expectsLoss: true);
        await CompareAsync("kprobes with strings", await bench.RecordAsync(
            "[Trace]\nEvents=probes sched:sched_switch sched:sched_process_exec\n",
            $"echo 'p:probes/opens do_sys_openat2 dir=%di:s32 file=+0(%si):ustring' > {Probes}; echo 'r:probes/opened do_sys_openat2 ret=$retval' >> {Probes}",
            g => LoadAsync(g, 0.5),
            $"echo > {Probes}"));
        await CompareAsync("function tracer", await bench.RecordAsync(
            "[Trace]\nEvents=sched:sched_switch\n",
            "true",
            // 6.1 has no function_graph in instances.
            g => TracerAsync(bench, g, kernel == GuestKernel.Linux612 ? ["function", "function_graph"] : ["function"]),
            $"echo nop > {Instance}/current_tracer"));
    }

    [Fact]
    public async Task Exports_while_the_guest_is_recorded_and_after_everything_was_killed()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 2, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);
        Task load = guest.LoadAsync(seconds: 8, 300_000);
        await Task.Delay(TimeSpan.FromSeconds(3));

        string work = Directory.CreateTempSubdirectory("vsockpair-export-").FullName;
        try
        {
            Recording live = new(lab.Collector.Store, "web1", 2, "");
            string lines = Path.Combine(work, "live.ndjson");
            await ExportAsync(live, lines);
            ulong newest = JsonNode.Parse((await File.ReadAllLinesAsync(lines))[^1])!["guest_time"]!.GetValue<ulong>();
            // Of what was stored of one vCPU then, more is stored now of the other.
            string[] range = ["-U", string.Create(CultureInfo.InvariantCulture, $"boot+{(newest - 1_500_000_000) / 1e9:F9}")];
            List<string> before = await BothAsync(live, work, range);
            Assert.True(before.Count > 100, $"{before.Count} lines");

            await lab.Collector.KillAsync();
            await lab.KillGuestsAsync();
            await Assert.ThrowsAnyAsync<Exception>(() => load);
            AssertSame("after kill -9", before, await BothAsync(live, work, range));
            List<string> all = await BothAsync(live, work);
            output.WriteLine($"{before.Count} lines up to a moment, {all.Count} in all");
            Assert.True(all.Count > before.Count);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>What trace-cmd reports of our .dat, which our .txt equals.</summary>
    private static async Task<List<string>> BothAsync(Recording recording, string work, params string[] options)
    {
        string text = Path.Combine(work, "both.txt");
        string file = Path.Combine(work, "both.dat");
        await ExportAsync(recording, text, options);
        await ExportAsync(recording, file, options);
        List<string> report = [];
        await TraceCmdReport.PrintAsync(file, report.Add);
        AssertSame("live", report, [.. await File.ReadAllLinesAsync(text, Encoding.Latin1)]);
        return report;
    }

    private static async Task LoadAsync(AgentGuest guest, double seconds)
    {
        await guest.Guest.RunAsync(Activity);
        await guest.LoadAsync(seconds, 200_000);
    }

    /// <summary>The kernel changes no tracer while somebody holds a trace_pipe_raw of the instance, so the agent ends for it and then takes its ring over again.</summary>
    private static async Task TracerAsync(RecordingBench bench, AgentGuest guest, params string[] tracers)
    {
        foreach (string tracer in tracers)
        {
            await guest.StopAgentAsync();
            await bench.ShellAsync($"echo 'vfs_*' > {Instance}/set_ftrace_filter; echo {tracer} > {Instance}/current_tracer");
            await guest.StartAgentAsync();
            await Eventually.TrueAsync(
                async () => (await guest.Guest.RunAsync($"cat {Instance}/tracing_on")).Text.Trim() == "1", TimeSpan.FromSeconds(20), "the agent to record again", guest.Guest);
            await guest.Guest.RunAsync(Activity);
        }
    }

    private async Task CompareAsync(string what, Recording recording, bool expectsLoss = false)
    {
        string work = Directory.CreateTempSubdirectory("vsockpair-export-").FullName;
        try
        {
            await CompareAsync(what, recording, work, expectsLoss);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private async Task CompareAsync(string what, Recording recording, string work, bool expectsLoss)
    {
        List<string> expected = await OwnReportAsync(recording, recording.Boot.Metadata(SavedNames));
        byte[] names = WithOneNameEach(recording.Boot.Metadata(SavedNames), expected);
        if (!names.SequenceEqual(recording.Boot.Metadata(SavedNames)))
        {
            output.WriteLine($"{what}: a thread was saved under another name than it had at first");
            expected = await OwnReportAsync(recording, names);
        }
        output.WriteLine($"{what}: {expected.Count} lines");
        Assert.True(expected.Count > 100, $"{what}: trace-cmd's own file has {expected.Count} lines");
        if (expectsLoss)
        {
            Assert.Contains(expected, line => line.Contains("EVENTS DROPPED", StringComparison.Ordinal));
        }

        string own = Path.Combine(work, "own.dat");
        await ExportAsync(recording, own);
        List<string> found = [];
        await TraceCmdReport.PrintAsync(own, found.Add);
        AssertSame($"{what}, .dat", expected, WithoutLedger(expected, found));

        string text = Path.Combine(work, "own.txt");
        await ExportAsync(recording, text);
        AssertSame($"{what}, .txt", expected, WithoutLedger(expected, await File.ReadAllLinesAsync(text, Encoding.Latin1)));

        await ComparePerfettoAsync(what, recording, work);
    }

    /// <summary>
    /// The ledger gives numbers to losses that a full sub-buffer had no room for one of, and marks of their own to those that no sub-buffer tells of. trace-cmd's own file has
    /// the sub-buffers alone: what it does tell has to be there, and no less of it.
    /// </summary>
    private static List<string> WithoutLedger(List<string> expected, IEnumerable<string> found)
    {
        List<string> lines = [];
        foreach (string line in found)
        {
            Match loss = Loss().Match(line);
            Match wanted = Loss().Match(lines.Count < expected.Count ? expected[lines.Count] : "");
            if (!loss.Success)
            {
                lines.Add(line);
            }
            else if (wanted.Success && wanted.Groups["cpu"].Value == loss.Groups["cpu"].Value)
            {
                lines.Add(Events(loss) >= Events(wanted) ? wanted.Value : line);
            }
        }
        return lines;

        static ulong Events(Match loss) => loss.Groups["events"].Success ? ulong.Parse(loss.Groups["events"].Value, CultureInfo.InvariantCulture) : 0;
    }

    [GeneratedRegex(@"^CPU:(?<cpu>[0-9]+) \[((?<events>[0-9]+) )?EVENTS DROPPED\]$")]
    private static partial Regex Loss();

    /// <summary>What trace-cmd reports of a file that it made itself.</summary>
    private static async Task<List<string>> OwnReportAsync(Recording recording, byte[] savedNames)
    {
        List<string> lines = [];
        await TraceCmdReport.ReadAsync(
            recording.Boot.MetadataNames.Select(name => KeyValuePair.Create(name, name == SavedNames ? savedNames : recording.Boot.Metadata(name))),
            Encoding.Latin1.GetBytes(recording.Kallsyms),
            [.. Enumerable.Range(0, recording.Cpus).Select(cpu => recording.Boot.Segments(cpu).Select(segment => segment.Path))],
            recording.Boot.Record["sub_buffer_bytes"]!.GetValue<int>(),
            lines.Add);
        return lines;
    }

    /// <summary>
    /// trace-cmd takes either of two names, as chance has it, for a thread that the idle thread wakes or switches to before any other thread has an event and that is saved
    /// under another name: in the file that it is measured by such a thread has one name, the event's.
    /// </summary>
    private static byte[] WithOneNameEach(byte[] saved, List<string> report)
    {
        IEnumerable<Match> told = report.Skip(1).TakeWhile(line => line.StartsWith("          <idle>-0 ", StringComparison.Ordinal) || line.StartsWith("CPU:", StringComparison.Ordinal))
            .Select(line => ToldName().Match(line)).Where(match => match.Success);
        string text = Encoding.Latin1.GetString(saved);
        foreach (Match one in told.DistinctBy(match => match.Groups["pid"].Value))
        {
            text = Regex.Replace(text, $"(?m)^{one.Groups["pid"].Value} .*$", _ => $"{one.Groups["pid"].Value} {one.Groups["name"].Value}");
        }
        return Encoding.Latin1.GetBytes(text);
    }

    [GeneratedRegex(@"(sched_wakeup: +|sched_wakeup_new: +| ==> )(?<name>.*):(?<pid>[0-9]+) \[")]
    private static partial Regex ToldName();

    private static async Task ComparePerfettoAsync(string what, Recording recording, string work)
    {
        string lines = Path.Combine(work, "own.ndjson");
        await ExportAsync(recording, lines);
        string file = Path.Combine(work, "own.pftrace");
        await ExportAsync(recording, file);
        PerfettoTrace trace = new(await File.ReadAllBytesAsync(file));
        string? difference = trace.DifferenceTo(File.ReadLines(lines));
        Assert.True(difference is null, $"{what}, .pftrace: {difference}");
        // The agent has a thread for each vCPU.
        Assert.Contains(trace.Threads, t => t.Value.Process != t.Key && trace.Processes.ContainsKey(t.Value.Process));
    }

    private static void AssertSame(string what, List<string> expected, List<string> found)
    {
        for (int i = 0; i < Math.Min(expected.Count, found.Count); i++)
        {
            Assert.True(expected[i] == found[i], $"{what}, line {i + 1} of {expected.Count}:\ntrace-cmd's: {expected[i]}\nours:        {found[i]}");
        }
        Assert.Equal(expected.Count, found.Count);
    }

    private static async Task ExportAsync(Recording recording, string file, params string[] options)
    {
        CommandOutput result = await CollectorProcess.RunOnAsync(recording.Store, ["export", recording.Guest, "-o", file, .. options]);
        Assert.True(result.ExitCode == 0, $"export ended with exit code {result.ExitCode}: {result.Error}");
    }
}
