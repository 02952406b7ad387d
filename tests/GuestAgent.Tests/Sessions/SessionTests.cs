using System.Text;
using VsockPair.GuestAgent.Configuration;
using VsockPair.Protocol;
using VsockPair.TestKit.Collector;
using static VsockPair.GuestAgent.Tests.Sessions.AgentRun;

namespace VsockPair.GuestAgent.Tests.Sessions;

public sealed class SessionTests
{
    [Fact]
    public async Task Says_who_it_is_and_sends_what_decoding_needs()
    {
        await using AgentRun run = new(prepare: guest =>
        {
            guest.Write("proc/1/task/1/stat", "");
            guest.Write("proc/77/task/77/stat", "");
            guest.Write("proc/77/task/78/stat", "");
            // On its way out.
            guest.Write("proc/99/stat", "");
        });
        await UntilAsync(() => run.Bulk(0) is not null, "the bulk connection");

        Hello control = run.Hellos(ConnectionKind.Control)[^1];
        Assert.Equal(run.Guest.BootId, control.BootId);
        Assert.Equal(("6.12.0-test", "web1", 2, 4096, "boot"),
            (control.Control.KernelRelease, control.Control.NodeName, control.Control.PossibleCpus, control.Control.SubBufferBytes, control.Control.TraceClock));
        Assert.Contains(control.Control.Notes, n => n.StartsWith("no kernel log", StringComparison.Ordinal));
        Assert.Contains(control.Control.Notes, n => n.Contains("crash records", StringComparison.Ordinal));

        string[] expected =
        [
            "saved_cmdlines", "thread_groups", "modules", "cpuinfo", "events/header_page", "events/header_event", "events/ftrace/function/format",
            "events/sched/sched_switch/format", "vmcoreinfo", "kallsyms", "kallsyms-boot", "btf",
        ];
        await UntilAsync(() => run.Collector.Files.Count >= expected.Length, "the files");
        Assert.Equal(expected.Order(), run.Collector.Files.Keys.Order());
        Assert.Equal(["77", "77", "78"], Encoding.UTF8.GetString(run.Collector.Files["thread_groups"]).TrimEnd('\n').Split(' ').Order());
        Assert.Equal("0000000000000000 A fixed_percpu_data\n+0 T _text\n+100 T splice_to_socket\n"u8.ToArray(), run.Collector.Files["kallsyms"]);
        Assert.Empty(run.Collector.Faults);
    }

    [Fact]
    public async Task Records_only_the_wanted_events_and_never_itself()
    {
        await using AgentRun run = new();

        Assert.Equal("1", run.Guest.ReadInstance("events/sched/sched_switch/enable"));
        Assert.Equal("0", run.Guest.ReadInstance("events/irq/irq_handler_entry/enable"));
        Assert.Equal("1", run.Guest.ReadInstance("options/event-fork"));
        Assert.Contains($"{Environment.ProcessId}", run.Guest.ReadInstance("set_event_notrace_pid").Split(' '));
    }

    [Fact]
    public async Task Streams_whole_records_with_the_rings_figures()
    {
        await using AgentRun run = new(prepare: guest => guest.SetStats(0, read: 1000, overrun: 7));
        await UntilAsync(() => run.Bulk(0) is not null, "the bulk connection");
        BulkHello hello = run.Bulk(0)!.Hello.Bulk;
        Assert.Equal((run.Guest.Generation, 1000UL, 7UL, 4096), (hello.Generation, hello.ReadEvents, hello.LostEvents, hello.SubBufferBytes));

        run.Guest.Record(0, 1);
        run.Guest.Record(0, 2);
        await UntilAsync(() => run.Bulk(0)!.SubBuffers == 2, "two sub-buffers");

        run.Guest.SetStats(0, read: 1100, overrun: 9);
        await UntilAsync(() => run.Collector.Counters.Any(c => c is { Cpu: 0, ReadEvents: 1100, LostEvents: 9, Final: false }), "the counters");
    }

    [Fact]
    public async Task Answers_a_ping_with_all_clocks()
    {
        await using AgentRun run = new();
        await UntilAsync(() => run.Bulk(0) is not null, "the session");

        await run.Collector.Newest(ConnectionKind.Control)!.SendAsync(new Ping(5, WithLocalClock: true));
        await UntilAsync(() => !run.Collector.Pongs.IsEmpty, "the pong");
        Pong pong = run.Collector.Pongs.Single();

        Assert.Equal(5u, pong.Number);
        Assert.Equal(12_345_678_000, pong.Local);
        // printk stamps local_clock(), which ftrace calls "perf"; its "local" is another.
        Assert.Equal("perf", run.Guest.Read($"{FakeGuest.LogClock}/trace_clock"));
        Assert.Equal("0", run.Guest.Read($"{FakeGuest.LogClock}/tracing_on"));
        Assert.InRange(pong.LocalAtBoot!.Value, pong.Boot - 60_000_000_000, pong.Boot);
    }

    [Fact]
    public async Task Tries_again_after_a_refusal_and_after_silence()
    {
        int hellos = 0;
        await using AgentRun run = new(script: r => r.Collector.OnHello = hello => hello.Kind != ConnectionKind.Control ? r.Welcome(hello)
            : Interlocked.Increment(ref hellos) switch
            {
                1 => new Refusal(RefusalReason.StoreNotWritable, "disk full"),
                2 => null,
                _ => r.Welcome(hello),
            }, handshake: 0.5);

        await UntilAsync(() => hellos >= 3 && run.Bulk(0) is { HasEnded: false }, "the third attempt's session");
    }

    [Fact]
    public async Task A_silent_collector_ends_the_session_and_the_next_one_names_it()
    {
        Guid first = Guid.NewGuid();
        await using AgentRun run = new(script: r =>
        {
            r.Collector.SendsHeartbeats = false;
            r.Collector.OnHello = hello => r.Welcome(hello) with { Session = first };
        }, deadAfter: 1);

        await UntilAsync(() => run.Hellos(ConnectionKind.Control).Any(h => h.Control.PreviousSession == first), "a Hello that names the session before");
        Hello[] hellos = [.. run.Hellos(ConnectionKind.Control)];
        Assert.Single(hellos.Select(h => h.Control.AgentInstance).Distinct());
    }

    [Fact]
    public async Task A_broken_bulk_connection_is_reopened_alone()
    {
        await using AgentRun run = new();
        await UntilAsync(() => run.Bulk(0) is not null, "the bulk connection");
        int sessions = run.Hellos(ConnectionKind.Control).Count;

        run.Bulk(0)!.Dispose();
        await UntilAsync(() => run.Hellos(ConnectionKind.Bulk).Count == 2, "the second bulk connection");

        Assert.Equal(sessions, run.Hellos(ConnectionKind.Control).Count);
        run.Guest.Record(0, 1);
        await UntilAsync(() => run.Bulk(0)!.SubBuffers == 1, "a sub-buffer on it");
    }

    [Fact]
    public async Task A_session_that_the_collector_forgot_is_opened_anew()
    {
        int bulk = 0;
        await using AgentRun run = new(script: r =>
            r.Collector.OnHello = hello => hello.Kind == ConnectionKind.Bulk && Interlocked.Increment(ref bulk) == 1
                ? new Refusal(RefusalReason.NoSuchSession, "no such session")
                : r.Welcome(hello));

        await UntilAsync(() => bulk >= 2 && run.Bulk(0) is { HasEnded: false }, "the second session's stream");
    }

    [Fact]
    public async Task When_the_collector_stops_every_stream_ends_at_a_record_and_comes_back()
    {
        await using AgentRun run = new();
        await UntilAsync(() => run.Bulk(0) is not null, "the bulk connection");
        CollectedConnection bulk = run.Bulk(0)!;
        run.Guest.Record(0, 1);
        await UntilAsync(() => bulk.SubBuffers == 1, "a sub-buffer");

        await run.Collector.Newest(ConnectionKind.Control)!.SendAsync(new Stop("restart"));
        await UntilAsync(() => bulk.HasEnded, "the stream's end");
        Assert.Equal(0, bulk.HeldBytes);
        await UntilAsync(() => !ReferenceEquals(run.Bulk(0), bulk), "the next session");
        Assert.Equal("1", run.Guest.ReadInstance("tracing_on"));
    }

    [Fact]
    public async Task When_the_agent_stops_rings_are_drained_and_the_last_figures_are_final()
    {
        await using AgentRun run = new();
        await UntilAsync(() => run.Bulk(0) is not null, "the bulk connection");
        run.Guest.SetStats(0, read: 42, overrun: 1);
        for (byte i = 0; i < 10; i++)
        {
            run.Guest.Record(0, i);
        }

        await run.StopAsync();

        await UntilAsync(() => !run.Collector.Goodbyes.IsEmpty, "the goodbye");
        Assert.Equal(10, run.Bulk(0)!.SubBuffers + run.Bulk(0)!.Tails);
        Assert.Contains(run.Collector.Counters, c => c is { Cpu: 0, ReadEvents: 42, LostEvents: 1, Final: true });
        Assert.Equal("0", run.Guest.ReadInstance("tracing_on"));
    }

    [Fact]
    public async Task A_collector_that_reads_nothing_does_not_keep_the_agent_from_stopping()
    {
        await using AgentRun run = new(script: r => r.Collector.StopsReadingBulk = true, stopDrain: 1);
        await UntilAsync(() => run.Bulk(0) is not null, "the bulk connection");
        // The socket and the agent's pipe are full when the ring is, and stays so.
        for (int unmoved = 0; unmoved < 100; unmoved++)
        {
            while (run.Guest.TryRecord(0, 1))
            {
                unmoved = 0;
            }
            await Task.Delay(10);
        }
        run.Guest.SetStats(0, read: 42, overrun: 1, entries: 70);

        // Far below the agent's other limits, which are as patient as this wait.
        await run.StopAsync();

        await UntilAsync(() => !run.Collector.Goodbyes.IsEmpty, "the goodbye");
        Assert.Equal(new EventsLeft(0, run.Guest.Generation, 70), Assert.Single(run.Collector.EventsLeft));
        Assert.DoesNotContain(run.Collector.Counters, c => c is { Cpu: 0, Final: true });
    }

    [Fact]
    public async Task A_vcpu_that_comes_and_goes_has_a_stream_meanwhile()
    {
        await using AgentRun run = new();
        await UntilAsync(() => run.Bulk(0) is not null, "cpu0");
        run.Guest.SetOnline("0-1");
        await UntilAsync(() => run.Bulk(1) is not null, "cpu1");
        run.Guest.Record(1, 1);
        await UntilAsync(() => run.Bulk(1)!.SubBuffers == 1, "cpu1's sub-buffer");

        run.Guest.SetOnline("0");
        await UntilAsync(() => run.Bulk(1)!.HasEnded && run.Collector.Counters.Any(c => c is { Cpu: 1, Final: true }), "cpu1's end");
        run.Guest.SetOnline("0-1");
        await UntilAsync(() => run.Hellos(ConnectionKind.Bulk).Count(h => h.Bulk.Cpu == 1) == 2, "cpu1's second stream");
    }

    [Fact]
    public async Task Without_tracefs_the_rest_goes_on()
    {
        await using AgentRun run = new(prepare: guest => Directory.Delete(Path.Combine(guest.Root, "sys/kernel/tracing"), recursive: true));
        await UntilAsync(() => run.Collector.Files.ContainsKey("btf"), "metadata");

        Assert.Contains(run.Notes.Lines, n => n.Contains("tracefs is not mounted", StringComparison.Ordinal));
        Assert.Equal(0, run.Hellos(ConnectionKind.Control)[0].Control.SubBufferBytes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Crash_records_arrive_and_are_removed_only_when_so_configured(bool remove)
    {
        AgentOptions options = new() { Events = ["sched"], RemoveAcknowledged = remove };
        DateTimeOffset panicked = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);
        await using AgentRun run = new(options: options, prepare: guest =>
        {
            guest.Write("sys/fs/pstore/dmesg-ramoops-0", "Panic#1 Part1\n");
            File.SetLastWriteTimeUtc(Path.Combine(guest.Root, "sys/fs/pstore/dmesg-ramoops-0"), panicked.UtcDateTime);
            guest.Write("var/lib/systemd/pstore/1700000/001/dmesg.txt", "an older one\n");
        });

        await UntilAsync(() => run.Collector.Files.ContainsKey("dmesg.txt") && run.Collector.Files.ContainsKey("dmesg-ramoops-0"), "the records");
        Assert.Equal("Panic#1 Part1\n"u8.ToArray(), run.Collector.Files["dmesg-ramoops-0"]);
        FileOffer offer = run.Collector.Offers.First(o => o.Name == "dmesg-ramoops-0");
        Assert.Equal(OfferedKind.Pstore, offer.Kind);
        Assert.Equal(panicked.ToUnixTimeMilliseconds(), offer.ModifiedNanoseconds / 1_000_000);
        string path = Path.Combine(run.Guest.Root, "sys/fs/pstore/dmesg-ramoops-0");
        if (remove)
        {
            await UntilAsync(() => !File.Exists(path), "its removal");
        }
        else
        {
            await Task.Delay(300);
            Assert.True(File.Exists(path));
        }
    }

    [Fact]
    public async Task Files_that_change_are_offered_again()
    {
        await using AgentRun run = new();
        await UntilAsync(() => run.Bulk(0) is not null, "the session");
        run.Guest.Write("sys/kernel/tracing/saved_cmdlines", "1 init\n77 nginx\n");
        run.Guest.Write("proc/modules", "vsock 61440 0 - Live 0x0\nraid1 1 0 - Live 0x0\n");

        await UntilAsync(() => run.Collector.Files.TryGetValue("saved_cmdlines", out byte[]? lines) && lines.AsSpan().EndsWith("77 nginx\n"u8), "the new command lines");
        await UntilAsync(() => run.Collector.Offers.Count(o => o.Name == "kallsyms-boot") == 2, "the symbols of the new module");
    }
}
