using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>
/// Exports of recordings made in real guests, against an outside judge: trace-cmd reports the same of our files as of a trace.dat that it restored itself from the
/// same raw segments. Four guests, five recordings each.
/// </summary>
public sealed class ExportTests(ITestOutputHelper output)
{
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
            "[Trace]\nEvents=probes sched:sched_process_exec\n",
            $"echo 'p:probes/opens do_sys_openat2 dir=%di:s32 file=+0(%si):ustring' > {Probes}; echo 'r:probes/opened do_sys_openat2 ret=$retval' >> {Probes}",
            g => LoadAsync(g, 0.5),
            $"echo > {Probes}"));
        await CompareAsync("function tracer", await bench.RecordAsync(
            "[Trace]\nEvents=sched:sched_switch\n",
            "true",
            g => TracerAsync(bench, g, kernel == GuestKernel.Linux612 ? "function_graph" : "function"),
            "true"));
    }

    private static async Task LoadAsync(AgentGuest guest, double seconds)
    {
        await guest.Guest.RunAsync(Activity);
        await guest.LoadAsync(seconds, 200_000);
    }

    private static async Task TracerAsync(RecordingBench bench, AgentGuest guest, string tracer)
    {
        await bench.ShellAsync($"echo 'vfs_*' > {Instance}/set_ftrace_filter; echo {tracer} > {Instance}/current_tracer");
        await guest.Guest.RunAsync(Activity);
        await bench.ShellAsync($"echo nop > {Instance}/current_tracer; echo function > {Instance}/current_tracer");
        await guest.Guest.RunAsync(Activity);
        await bench.ShellAsync($"echo nop > {Instance}/current_tracer");
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
        string own = Path.Combine(work, "own.dat");
        await ExportAsync(recording, own);
        string judge = await TraceCmd.RestoreAsync(recording.Boot, Enumerable.Range(0, recording.Cpus), recording.Kallsyms, work);
        List<string> expected = await TraceCmd.ReportAsync(judge).ToListAsync();
        output.WriteLine($"{what}: {expected.Count} lines");
        Assert.True(expected.Count > 100, $"{what}: trace-cmd's own file has {expected.Count} lines");
        if (expectsLoss)
        {
            Assert.Contains(expected, line => line.Contains("EVENTS DROPPED", StringComparison.Ordinal));
        }
        AssertSame(what, expected, await TraceCmd.ReportAsync(own).ToListAsync());
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
