using System.Globalization;
using System.Text;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>The trace ring that survives a warm reboot: what a dead boot left in it is on the host, to its last event.</summary>
public sealed class PersistentRingTests(ITestOutputHelper output)
{
    private const string Ring = "/sys/kernel/tracing/instances/boot_map";
    private const int Cpus = 2;

    /// <summary>Runs before the agent, and takes nothing out of the ring.</summary>
    private const string CountBefore = $"grep -c 'sched_switch' {Ring}/trace >/run/before\n";

    [Fact]
    public async Task Events_until_the_panic_are_on_the_host_and_decode()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = Cpus, Name = "web1", PersistentTraceBuffer = true, InitScript = CountBefore });
        await lab.WaitForStreamsAsync(guest);
        await Eventually.TrueAsync(async () => await ReadAsync(guest, "tracing_on") == "1", TimeSpan.FromSeconds(30), "the ring's recording", guest.Guest);
        Assert.Equal("0", await CountedAsync(guest));
        Assert.Contains("[boot]", await ReadAsync(guest, "trace_clock"), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(lab.Stored("web1").Boots[0].Folder, "previous")));

        double before = double.Parse((await guest.Guest.RunAsync("for i in 1 2 3 4 5 6 7 8 9; do usleep 20000; done; cut -d' ' -f1 /proc/uptime")).EnsureSuccess().Text, CultureInfo.InvariantCulture);
        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        await lab.AwaitAsync(guest, () => InfoOf(lab, 1) is not null, TimeSpan.FromSeconds(90), "the persistent ring's last word");

        StoredBoot dead = lab.Stored("web1").Boots[0];
        string info = InfoOf(lab, 1)!;
        output.WriteLine(info);
        Assert.StartsWith($"boot {dead.BootId} clock boot\nsub_buffer_bytes 4096\nsub_buffers_dropped 0\nrecording_went_on no\n\n", info, StringComparison.Ordinal);
        Assert.Contains("text delta", info, StringComparison.Ordinal);

        List<double> times = await DecodeAsync(dead, lab.Stored("web1").Boots[1]);
        output.WriteLine($"{times.Count} events of {await CountedAsync(guest)} that the next boot's kernel saw; the last at {times[^1]:0.000000}, the panic was asked for after {before:0.00}");
        Assert.Equal(await CountedAsync(guest), times.Count.ToString(CultureInfo.InvariantCulture));
        Assert.InRange(times[^1], before, before + 10);

        // This boot is recorded as well, and its find is of it and not of the first.
        await Eventually.TrueAsync(async () => await ReadAsync(guest, "tracing_on") == "1", TimeSpan.FromSeconds(30), "the second recording", guest.Guest);
        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        await lab.AwaitAsync(guest, () => InfoOf(lab, 2) is not null, TimeSpan.FromSeconds(90), "the second find");
        StoredBoot second = lab.Stored("web1").Boots[1];
        Assert.StartsWith($"boot {second.BootId} ", InfoOf(lab, 2)!, StringComparison.Ordinal);
        Assert.Equal(await CountedAsync(guest), (await DecodeAsync(second, lab.Stored("web1").Boots[2])).Count.ToString(CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task A_find_that_no_collector_took_is_kept_and_sent_once_by_another_agent_of_the_boot()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = Cpus, Name = "web1", PersistentTraceBuffer = true, InitScript = CountBefore });
        await lab.WaitForStreamsAsync(guest);
        await Eventually.TrueAsync(async () => await ReadAsync(guest, "tracing_on") == "1", TimeSpan.FromSeconds(30), "the ring's recording", guest.Guest);
        await lab.Collector.KillAsync();
        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        await Eventually.TrueAsync(
            async () => (await guest.AgentLogAsync()).Contains("sub-buffers of the boot before", StringComparison.Ordinal), TimeSpan.FromSeconds(120), "the agent has not waited for ever", guest.Guest);
        await Eventually.TrueAsync(async () => await ReadAsync(guest, "tracing_on") == "1", TimeSpan.FromSeconds(30), "the ring's recording again", guest.Guest);
        await guest.StopAgentAsync();
        await guest.StartAgentAsync();
        await lab.Collector.StartAsync();
        await lab.AwaitAsync(guest, () => InfoOf(lab, 1) is not null, TimeSpan.FromSeconds(90), "the find");
        Assert.Equal(await CountedAsync(guest), (await DecodeAsync(lab.Stored("web1").Boots[0], lab.Stored("web1").Boots[1])).Count.ToString(CultureInfo.InvariantCulture));
        Assert.Equal("sent", (await guest.Guest.RunAsync("ls /run/vsockpair-agent/previous-*/ | grep -v recording | grep -v cpu")).Text.Trim());
    }

    private static string? InfoOf(Lab lab, int boot)
    {
        IReadOnlyList<StoredBoot> boots = lab.Stored("web1").Boots;
        string path = boots.Count > boot ? Path.Combine(boots[boot].Folder, "previous/info") : "";
        return File.Exists(path) ? File.ReadAllText(path) : null;
    }

    /// <summary>Times of all sched_switch events as trace-cmd reads them with the dead boot's metadata, in seconds, in order.</summary>
    private static async Task<List<double>> DecodeAsync(StoredBoot dead, StoredBoot finder)
    {
        List<double> times = [];
        StoredSegment[][] parts = [.. Enumerable.Range(0, Cpus).Select(cpu => StoredSegment.In(Path.Combine(finder.Folder, "previous", $"cpu{cpu}")).ToArray())];
        foreach (StoredSegment segment in parts.SelectMany(p => p))
        {
            segment.CheckSummary();
        }
        await TraceCmdReport.ReadAsync(
            dead.MetadataNames.Select(name => KeyValuePair.Create(name, dead.Metadata(name))),
            Encoding.ASCII.GetBytes("0000000000000000 T _text\n"),
            [.. parts.Select(p => p.Select(s => s.Path).ToArray())],
            subBufferBytes: 4096,
            line =>
            {
                int at = line.IndexOf(": sched_switch:", StringComparison.Ordinal);
                if (at > 0)
                {
                    times.Add(double.Parse(line[(line.LastIndexOf(' ', at) + 1)..at], CultureInfo.InvariantCulture));
                }
            });
        times.Sort();
        return times;
    }

    private static async Task<string> ReadAsync(AgentGuest guest, string file) => (await guest.Guest.RunAsync($"cat {Ring}/{file}")).EnsureSuccess().Text.Trim();

    private static async Task<string> CountedAsync(AgentGuest guest) => (await guest.Guest.RunAsync("cat /run/before")).EnsureSuccess().Text.Trim();
}
