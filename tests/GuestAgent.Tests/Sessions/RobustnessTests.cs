using System.Diagnostics;
using VsockPair.GuestAgent.Configuration;
using VsockPair.Protocol;
using VsockPair.TestKit.Collector;
using static VsockPair.GuestAgent.Tests.Sessions.AgentRun;

namespace VsockPair.GuestAgent.Tests.Sessions;

/// <summary>The agent where guest or collector behave oddly.</summary>
public sealed class RobustnessTests
{
    private static readonly AgentOptions Removing = new() { Events = ["sched"], RemoveAcknowledged = true };

    [Fact]
    public async Task A_collector_that_accepts_and_drops_a_stream_is_not_stormed()
    {
        await using AgentRun run = new(longestBackoff: 60);
        long start = Stopwatch.GetTimestamp();
        await UntilAsync(() =>
        {
            foreach (CollectedConnection bulk in run.Collector.Connections.Where(c => c.Hello.Kind == ConnectionKind.Bulk))
            {
                bulk.Dispose();
            }
            return Stopwatch.GetElapsedTime(start).TotalSeconds >= 2 && run.Hellos(ConnectionKind.Bulk).Count >= 3;
        }, "three connections");

        // Waits from 0.1 s that grow by a quarter, each at least by half, of which n take 0.2 s × (1.25ⁿ - 1) at least: 10 in 2 s, and without them it would be 20 and more.
        int connections = run.Hellos(ConnectionKind.Bulk).Count;
        double waits = Math.Log(1 + Stopwatch.GetElapsedTime(start).TotalSeconds / 0.2) / Math.Log(1.25);
        Assert.InRange(connections, 3, 2 + (int)waits);
    }

    [Fact]
    public async Task A_probe_that_was_refused_is_tried_again()
    {
        int probes = 0;
        await using AgentRun run = new(script: r => r.Collector.OnHello = hello =>
            hello.Kind == ConnectionKind.Probe && ++probes <= 2 ? new Refusal(RefusalReason.TooManyConnections, "later") : r.Welcome(hello));

        await UntilAsync(() => run.Hellos(ConnectionKind.Probe).Count == 3, "the third probe");
        await Task.Delay(500);
        Assert.Equal(3, run.Hellos(ConnectionKind.Probe).Count);
    }

    [Fact]
    public async Task Silence_after_the_probe_is_its_answer()
    {
        await using AgentRun run = new(script: r => r.Collector.OnProbe = _ => null, probe: 0.3);

        await UntilAsync(() => run.Hellos(ConnectionKind.Probe).Count == 1, "the probe");
        await Task.Delay(1000);
        Assert.Single(run.Hellos(ConnectionKind.Probe));
    }

    [Fact]
    public async Task Nothing_is_said_of_vcpus_that_the_collector_does_not_take()
    {
        int maxCpus = 64;
        await using AgentRun run = new(prepare: g => g.SetOnline("0-1"), script: r => r.Collector.OnHello = hello => r.Welcome(hello, maxCpus));
        await UntilAsync(() => run.Collector.Counters.Any(c => c.Cpu == 1), "counters of both");

        // The next session's collector takes fewer, and the agent has figures of the other one.
        maxCpus = 1;
        run.Collector.Newest(ConnectionKind.Control)!.Dispose();
        await UntilAsync(() => run.Hellos(ConnectionKind.Control).Count == 2, "the next session");
        run.Collector.Counters.Clear();
        await UntilAsync(() => run.Collector.Counters.Count(c => c.Cpu == 0) >= 3, "counters");

        Assert.DoesNotContain(run.Collector.Counters, c => c.Cpu == 1);
    }

    [Fact]
    public async Task What_an_earlier_agent_left_of_a_vcpu_that_is_offline_is_drained_once()
    {
        await using AgentRun run = new(prepare: g =>
        {
            g.SetStats(1, read: 5, overrun: 0, entries: 3);
            g.Record(1, 7);
        });

        await UntilAsync(() => run.Collector.Counters.Any(c => c is { Cpu: 1, Final: true }), "the final figures");
        await UntilAsync(() => run.Bulk(1) is { HasEnded: true }, "the end of the stream");
        Assert.Equal(1, run.Bulk(1)!.SubBuffers + run.Bulk(1)!.Tails);
        await Task.Delay(500);
        Assert.Single(run.Hellos(ConnectionKind.Bulk), h => h.Bulk.Cpu == 1);
    }

    [Fact]
    public async Task A_vcpu_that_is_back_before_its_ring_was_drained_goes_on()
    {
        // It goes and comes back while its stream has no connection.
        bool refuses = false;
        int refused = 0;
        await using AgentRun run = new(prepare: g => g.SetOnline("0-1"), script: r => r.Collector.OnHello = hello =>
        {
            if (!refuses || hello.Kind != ConnectionKind.Bulk || hello.Bulk.Cpu != 1)
            {
                return r.Welcome(hello);
            }
            refused++;
            return new Refusal(RefusalReason.TooManyConnections, "later");
        });
        await UntilAsync(() => run.Bulk(1) is not null, "cpu1");

        refuses = true;
        run.Bulk(1)!.Dispose();
        await UntilAsync(() => refused > 0, "the agent's knowing that it has no connection");
        run.Guest.SetOnline("0");
        await LookedAtVcpusAsync(run);
        run.Guest.SetOnline("0-1");
        await LookedAtVcpusAsync(run);
        int connections = run.Collector.Connections.Count;
        refuses = false;
        await UntilAsync(() => run.Collector.Connections.Count > connections && !run.Bulk(1)!.HasEnded, "cpu1's stream");
        await Task.Delay(500);

        Assert.False(run.Bulk(1)!.HasEnded);
        Assert.DoesNotContain(run.Collector.Counters, c => c is { Cpu: 1, Final: true });
    }

    [Fact]
    public async Task A_vcpu_that_went_leaves_no_open_files()
    {
        await using AgentRun run = new(prepare: g => g.SetOnline("0-1"));
        await UntilAsync(() => run.Bulk(1) is not null, "cpu1");
        Assert.NotEqual(0, OpenFiles());

        run.Guest.SetOnline("0");
        await UntilAsync(() => run.Collector.Counters.Any(c => c is { Cpu: 1, Final: true }), "cpu1's end");
        await UntilAsync(() => OpenFiles() == 0, "its files");

        int OpenFiles() => Directory.GetFiles("/proc/self/fd").Count(IsOpenStats);

        bool IsOpenStats(string fd)
        {
            try
            {
                string target = new FileInfo(fd).LinkTarget ?? "";
                return target.StartsWith(run.Guest.Root, StringComparison.Ordinal) && target.EndsWith("/cpu1/stats", StringComparison.Ordinal);
            }
            catch (IOException)
            {
                // Another test closed it since the folder was listed.
                return false;
            }
        }
    }

    [Fact]
    public async Task A_crash_record_that_appears_later_is_offered_and_one_that_was_replaced_is_not_removed()
    {
        TaskCompletionSource replaced = new();
        await using AgentRun run = new(options: Removing, prepare: g => g.Write("sys/fs/pstore/dmesg-ramoops-0", "first\n"), script: r =>
            r.Collector.OnOffer = offer =>
            {
                if (offer.Name == "dmesg-ramoops-0" && !replaced.Task.IsCompleted)
                {
                    r.Guest.Write("sys/fs/pstore/dmesg-ramoops-0", "second, another\n");
                    replaced.SetResult();
                    return OfferAnswer.Have;
                }
                return offer.Kind == OfferedKind.Pstore ? OfferAnswer.Refused : OfferAnswer.Have;
            });
        await replaced.Task;
        run.Guest.Write("sys/fs/pstore/console-ramoops-0", "later\n");

        await UntilAsync(() => run.Collector.Offers.Any(o => o.Name == "console-ramoops-0"), "the later record");
        await UntilAsync(() => run.Collector.Offers.Count(o => o.Name == "dmesg-ramoops-0") == 2, "the record as it is now");
        Assert.Equal("second, another\n", run.Guest.Read("sys/fs/pstore/dmesg-ramoops-0"));
    }

    [Fact]
    public async Task Symbols_are_offered_again_in_the_next_session_when_modules_came_meanwhile()
    {
        await using AgentRun run = new();
        await UntilAsync(() => run.Collector.Files.ContainsKey("kallsyms-boot"), "the symbols");
        byte[] before = run.Collector.Files["kallsyms-boot"];

        run.Guest.Write("proc/kallsyms", "ffffffff81000000 T _text\nffffffffc0001000 t init\t[vsock]\nffffffffc0002000 t init\t[raid1]\n");
        run.Guest.Write("proc/modules", "vsock 61440 0 - Live 0x0000000000000000\nraid1 1 0 - Live 0x1\n");
        run.Collector.Newest(ConnectionKind.Control)!.Dispose();

        await UntilAsync(() => run.Hellos(ConnectionKind.Control).Count == 2, "the next session");
        await UntilAsync(() => !run.Collector.Files["kallsyms-boot"].AsSpan().SequenceEqual(before), "the new symbols");
    }

    /// <summary>The agent looks at them after each heartbeat: before the second one from now it has.</summary>
    private static async Task LookedAtVcpusAsync(AgentRun run)
    {
        int before = run.Collector.Heartbeats;
        await UntilAsync(() => run.Collector.Heartbeats >= before + 2, "two heartbeats");
    }
}
