using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary><c>vsockpair trace</c> on real kernels: what was asked for is there and decodable, for as long as asked, the configuration comes back to the byte, and the accounts stay exact.</summary>
public sealed partial class TraceControlTests(ITestOutputHelper output)
{
    private const string Instance = "/sys/kernel/tracing/instances/vsockpair";
    private const string Format = "events/kmem/kmalloc/format";

    private static readonly string[] Configuration =
        ["set_event", "events/kmem/kmalloc/filter", "events/sched/sched_switch/filter", "current_tracer", "set_ftrace_filter", "buffer_size_kb", "buffer_percent", "tracing_on"];

    [Theory]
    [InlineData(GuestKernel.Linux612)]
    [InlineData(GuestKernel.Linux61)]
    public async Task Records_an_event_for_ten_seconds_and_then_what_was_configured(GuestKernel kernel)
    {
        const int Seconds = 10;
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);
        string before = await ConfigurationAsync(guest);
        Assert.DoesNotContain(Format, lab.Stored("web1").OnlyBoot.MetadataNames);
        Task work = guest.Guest.RunAsync("i=0; while [ $i -lt 400 ]; do cat /proc/mounts > /dev/null; usleep 50000; i=$((i+1)); done", TimeSpan.FromMinutes(2));

        double start = await UptimeAsync(guest);
        await AskAsync(lab, 0, "set", "-e", "kmem:kmalloc", "--filter", "bytes_req >= 512", "--for", $"{Seconds}s");
        double set = await UptimeAsync(guest);
        await lab.AwaitAsync(guest, () => lab.Stored("web1").OnlyBoot.MetadataNames.Contains(Format), TimeSpan.FromSeconds(3), "boot.json to name the format");
        JsonNode shown = JsonNode.Parse(await AskAsync(lab, 0, "show", "--json"))!;
        Assert.Contains("kmem:kmalloc", shown["events"]!.AsArray().Select(e => e!.GetValue<string>()));
        Assert.Equal("kmem:kmalloc bytes_req >= 512", shown["filters"]![0]!.GetValue<string>());
        Assert.NotNull(shown["until"]);
        Assert.Contains("kmem:kmalloc\n", await ConfigurationAsync(guest), StringComparison.Ordinal);
        await Task.Delay(TimeSpan.FromSeconds(Seconds + 2));

        Assert.Equal(before, await ConfigurationAsync(guest));
        await work;
        await lab.EndAsync(guest);
        await lab.Collector.StopAsync();
        output.WriteLine(await guest.AgentLogAsync());
        output.WriteLine(lab.Collector.Output);

        List<double> times = [];
        List<long> requested = [];
        await TraceCmd.ReportAsync(lab.Stored("web1").OnlyBoot, guest.Cpus, line =>
        {
            if (Kmalloc().Match(line) is { Success: true } match)
            {
                times.Add(double.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture));
                requested.Add(long.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
            }
        });
        output.WriteLine($"asked at {start:0.00}, answered by {set:0.00}; {times.Count} kmalloc events from {times.Min():0.00} to {times.Max():0.00}");
        Assert.True(times.Min() >= start, "an event from before the request");
        Assert.InRange(times.Max(), set + Seconds - 4, set + Seconds + 1);
        Assert.All(requested, bytes => Assert.True(bytes >= 512, $"{bytes} bytes passed the filter"));
        await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
    }

    [Theory]
    [InlineData(GuestKernel.Linux612)]
    [InlineData(GuestKernel.Linux61)]
    public async Task A_full_ring_that_shrinks_again_loses_nothing_silently(GuestKernel kernel)
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);
        string before = await ConfigurationAsync(guest);

        await AskAsync(lab, 0, "set", "--buffer-kb", "4096", "--for", "8s");
        // The kernel rounds up to whole sub-buffers.
        string kb = (await guest.Guest.RunAsync($"cat {Instance}/buffer_size_kb")).EnsureSuccess().Text;
        Assert.InRange(int.Parse(kb, CultureInfo.InvariantCulture), 4096, 4096 + 64);
        // Longer than the trace, shorter than a dead session: the rings are full when they shrink under a load that goes on.
        Task load = guest.LoadAsync(seconds: 12, 2_000_000);
        lab.Collector.Signal(Signals.Stop);
        await Task.Delay(TimeSpan.FromSeconds(10));
        lab.Collector.Signal(Signals.Continue);
        await load;

        Assert.Equal(before, await ConfigurationAsync(guest));
        await lab.EndAsync(guest);
        output.WriteLine(await guest.AgentLogAsync());
        IReadOnlyList<Account> accounts = await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
        Assert.All(accounts, account => Assert.True(account.RingLoss > 0, "rings that were not full show nothing"));
        Assert.All(accounts, account => Assert.Equal(0, account.TransportLoss));
    }

    [Theory]
    [InlineData(GuestKernel.Linux612, "function_graph", "funcgraph_entry")]
    [InlineData(GuestKernel.Linux61, "function", "function")]
    public async Task Traces_the_named_functions_and_loses_no_other_event(GuestKernel kernel, string tracer, string events)
    {
        const int Markers = 100;
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Name = "web1" }, "[Control]\nAllowTracers=yes\nAllowDynamicDebug=yes\n");
        await lab.WaitForStreamsAsync(guest);
        string before = await ConfigurationAsync(guest);

        await MarkAsync("before");
        await AskAsync(lab, 0, "set", "--tracer", tracer, "--function", "vfs_read", "--function", "vfs_ope*");
        string[] during = (await ConfigurationAsync(guest)).Split('\n');
        Assert.Contains(tracer, during);
        Assert.Contains("vfs_read", during);
        await MarkAsync("during");
        await AskAsync(lab, 0, "off");
        Assert.Equal(before, await ConfigurationAsync(guest));
        await MarkAsync("after");
        if (kernel == GuestKernel.Linux61)
        {
            Assert.Contains("no tracer function_graph", await AskAsync(lab, 1, "set", "--tracer", "function_graph", "--function", "vfs_read"), StringComparison.Ordinal);
        }
        await CheckDynamicDebugAsync(lab, guest);
        Assert.Contains("does not trace nosuchfunction", await AskAsync(lab, 1, "set", "--tracer", tracer, "--function", "nosuchfunction"), StringComparison.Ordinal);
        Assert.Contains("Field not found", await AskAsync(lab, 1, "set", "-e", "kmem:kmalloc", "--filter", "nosuch == 1"), StringComparison.Ordinal);
        Assert.Equal(before, await ConfigurationAsync(guest));
        await lab.EndAsync(guest);
        await lab.Collector.StopAsync();
        output.WriteLine(await guest.AgentLogAsync());
        output.WriteLine(lab.Collector.Output);

        long traced = 0;
        long foreign = 0;
        Dictionary<string, int> marks = [];
        await TraceCmd.ReportAsync(lab.Stored("web1").OnlyBoot, guest.Cpus, line =>
        {
            if (Mark().Match(line) is { Success: true } mark)
            {
                marks[mark.Groups[1].Value] = marks.GetValueOrDefault(mark.Groups[1].Value) + 1;
            }
            if (line.Contains($" {events}: ", StringComparison.Ordinal))
            {
                traced++;
                foreign += line.Contains("vsockpair-agent", StringComparison.Ordinal) ? 1 : 0;
            }
        });
        output.WriteLine($"{traced} {events} events");
        output.WriteLine(string.Join('\n', lab.Stored("web1").OnlyBoot.Losses));
        Assert.True(traced > Markers, "the tracer has traced nothing");
        Assert.Equal(0, foreign);
        Assert.Equal(new Dictionary<string, int> { ["before"] = Markers, ["during"] = Markers, ["after"] = Markers }, marks);
        StoredBoot boot = lab.Stored("web1").OnlyBoot;
        for (int cpu = 0; cpu < guest.Cpus; cpu++)
        {
            JsonNode ring = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(boot.Folder, "rings", $"cpu{cpu}.json")))!;
            Assert.Equal(0, boot.Losses.Sum("transport", $"cpu{cpu}", "events"));
            Assert.Equal(boot.Events(cpu), ring["read_events_before"]!.GetValue<long>() + (await guest.StatsAsync(cpu)).Read);
        }

        async Task MarkAsync(string when)
        {
            string command = $"i=0; while [ $i -lt {Markers} ]; do echo mark-{when}-$i > {Instance}/trace_marker; i=$((i+1)); done";
            (await guest.Guest.RunAsync(command)).EnsureSuccess();
        }
    }

    /// <summary>The one thing that is the whole guest's: sites that were on before stay on.</summary>
    private async Task CheckDynamicDebugAsync(Lab lab, AgentGuest guest)
    {
        const string Control = "/proc/dynamic_debug/control";
        (await guest.Guest.RunAsync($"echo 'func kobject_add_internal =pf' > {Control}")).EnsureSuccess();
        string before = await ReadAsync();

        await AskAsync(lab, 0, "set", "--dynamic-debug", "file lib/kobject.c +p", "--dynamic-debug", "func kobject_add_internal =pt");
        string[] during = (await ReadAsync()).Split('\n');
        Assert.Contains(during, line => line.Contains("]kobject_add_internal =pt ", StringComparison.Ordinal));
        Assert.Contains(during, line => line.Contains("]kobject_cleanup =p ", StringComparison.Ordinal));
        await AskAsync(lab, 0, "off");
        Assert.Equal(before, await ReadAsync());
        Assert.Contains("change nothing", await AskAsync(lab, 1, "set", "--dynamic-debug", "func nosuchfunction +p"), StringComparison.Ordinal);

        await AskAsync(lab, 0, "set", "--dynamic-debug", "file lib/kobject.c +p");
        (await guest.Guest.RunAsync("kill -KILL $(pidof vsockpair-agent); while pidof vsockpair-agent >/dev/null; do usleep 50000; done")).EnsureSuccess();
        Assert.NotEqual(before, await ReadAsync());
        int sessions = Sessions();
        await guest.StartAgentAsync();
        await lab.AwaitAsync(guest, () => Sessions() > sessions, TimeSpan.FromSeconds(30), "the next agent's session");
        Assert.Equal(before, await ReadAsync());

        async Task<string> ReadAsync() => (await guest.Guest.RunAsync($"cat {Control}")).EnsureSuccess().Text;

        int Sessions() => lab.Collector.Output.Split("session for boot").Length;
    }

    /// <returns>What the command printed: its answer, or its fault.</returns>
    private async Task<string> AskAsync(Lab lab, int exitCode, string verb, params string[] options)
    {
        CommandOutput answer = await lab.Collector.RunAsync(["trace", "web1", verb, .. options]);
        output.WriteLine($"trace web1 {verb} {string.Join(' ', options)}: {answer.ExitCode}\n{answer.Text}{answer.Error}");
        Assert.Equal(exitCode, answer.ExitCode);
        return answer.Text + answer.Error;
    }

    /// <summary>Every file that a request may have changed, byte for byte.</summary>
    private static async Task<string> ConfigurationAsync(AgentGuest guest) =>
        (await guest.Guest.RunAsync($"cd {Instance}; for f in {string.Join(' ', Configuration)}; do echo \"== $f\"; cat $f; done")).EnsureSuccess().Text;

    private static async Task<double> UptimeAsync(AgentGuest guest) =>
        double.Parse((await guest.Guest.RunAsync("cut -d ' ' -f 1 /proc/uptime")).EnsureSuccess().Text, CultureInfo.InvariantCulture);

    [GeneratedRegex(@" ([0-9]+\.[0-9]+): kmalloc: .*bytes_req=([0-9]+)")]
    private static partial Regex Kmalloc();

    [GeneratedRegex("mark-([a-z]+)-[0-9]+")]
    private static partial Regex Mark();
}
