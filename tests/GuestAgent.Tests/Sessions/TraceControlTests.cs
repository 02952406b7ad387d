using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Protocol;
using static VsockPair.GuestAgent.Tests.Sessions.AgentRun;

namespace VsockPair.GuestAgent.Tests.Sessions;

/// <summary>The host changes what is recorded: only what it may, only for as long as it may, and then everything is as configured.</summary>
public sealed class TraceControlTests
{
    private const string Enable = "events/kmem/kmalloc/enable";
    private const string Filter = "events/kmem/kmalloc/filter";
    private const string Format = "events/kmem/kmalloc/format";

    private static readonly TraceSettings Kmalloc = TraceSettings.None with
    {
        Events = ["kmem:kmalloc"], Filters = ["kmem:kmalloc bytes_req > 4096", "sched:sched_switch prev_pid == 0"], BufferKb = 2048,
    };

    private static readonly TraceSettings Functions = TraceSettings.None with { Tracer = "function", Functions = ["vfs_*", "ksys_read"] };

    private uint _id;

    [Fact]
    public async Task Says_what_it_records()
    {
        await using AgentRun run = await StartAsync();

        TraceAnswer answer = await AskAsync(run, TraceVerb.Show);

        Assert.Equal(("", 1, 1027, ""), (answer.Refusal, answer.EventCount, answer.Settings.BufferKb, answer.Settings.Tracer));
        Assert.Equal(["sched:sched_switch"], answer.Settings.Events);
        Assert.Null(answer.AgeMilliseconds);
        Assert.Equal(AgentCapabilities.TraceControl, run.Hellos(ConnectionKind.Control)[0].Control.Capabilities);
    }

    [Fact]
    public async Task Sets_what_is_asked_and_off_restores_all_of_it()
    {
        await using AgentRun run = await StartAsync();

        TraceAnswer answer = await AskAsync(run, TraceVerb.Set, Kmalloc);

        Assert.Equal("", answer.Refusal);
        Assert.Equal(["sched:sched_switch", "kmem:kmalloc"], answer.Settings.Events);
        Assert.Equal(Kmalloc.Filters, answer.Settings.Filters);
        Assert.NotNull(answer.AgeMilliseconds);
        Assert.Null(answer.LeftMilliseconds);
        Assert.Equal(("1", "bytes_req > 4096", "2048"), State(run));
        Assert.Equal("prev_pid == 0", run.Guest.ReadInstance("events/sched/sched_switch/filter"));
        Assert.Equal("1", run.Guest.ReadInstance("events/sched/sched_switch/enable"));

        answer = await AskAsync(run, TraceVerb.Off);

        Assert.Null(answer.AgeMilliseconds);
        Assert.Equal(["sched:sched_switch"], answer.Settings.Events);
        Assert.Equal(("0", "0", "1027"), State(run));
        Assert.Equal("0", run.Guest.ReadInstance("events/sched/sched_switch/filter"));
        Assert.Equal("1", run.Guest.ReadInstance("events/sched/sched_switch/enable"));
    }

    [Fact]
    public async Task A_second_set_replaces_the_first()
    {
        await using AgentRun run = await StartAsync();
        await AskAsync(run, TraceVerb.Set, Kmalloc);

        TraceAnswer answer = await AskAsync(run, TraceVerb.Set, TraceSettings.None with { Events = ["kmem:kfree"] });

        Assert.Equal(["sched:sched_switch", "kmem:kfree"], answer.Settings.Events);
        Assert.Empty(answer.Settings.Filters);
        Assert.Equal(("0", "0", "1027"), State(run));
    }

    [Fact]
    public async Task An_event_is_switched_on_only_once_its_format_is_stored()
    {
        await using AgentRun run = await StartAsync();
        string? atOffer = null;
        run.Collector.OnOffer = offer =>
        {
            if (offer.Name == Format)
            {
                Thread.Sleep(200);
                atOffer = run.Guest.ReadInstance(Enable);
            }
            return OfferAnswer.Want;
        };

        await AskAsync(run, TraceVerb.Set, Kmalloc);

        Assert.Equal("0", atOffer);
        Assert.True(run.Collector.Files.ContainsKey(Format));
        Assert.Equal("1", run.Guest.ReadInstance(Enable));
    }

    [Fact]
    public async Task Without_its_format_stored_no_event_is_switched_on()
    {
        await using AgentRun run = await StartAsync(formats: 3);
        run.Collector.OnOffer = offer => offer.Name == Format ? OfferAnswer.Refused : OfferAnswer.Want;

        TraceAnswer answer = await AskAsync(run, TraceVerb.Set, Kmalloc);

        Assert.Contains("formats of 1 events", answer.Refusal, StringComparison.Ordinal);
        Assert.Equal(("0", "none", "1027\n"), State(run));
        run.Collector.OnOffer = _ => OfferAnswer.Want;
        Assert.Equal("", (await AskAsync(run, TraceVerb.Set, Kmalloc)).Refusal);
    }

    [Fact]
    public async Task The_configuration_comes_back_when_the_time_is_over()
    {
        await using AgentRun run = await StartAsync();

        TraceAnswer answer = await AskAsync(run, TraceVerb.Set, Kmalloc, seconds: 2);

        // What is recorded when the answer is read may be the configuration again.
        Assert.InRange(answer.LeftMilliseconds!.Value, 1, 2000);
        Assert.Equal(["sched:sched_switch", "kmem:kmalloc"], answer.Settings.Events);
        await UntilAsync(() => State(run) == ("0", "0", "1027"), "the configuration");
    }

    [Fact]
    public async Task It_comes_back_when_the_collector_is_gone_but_not_when_it_restarts()
    {
        const int Orphaned = 5;
        await using AgentRun run = await StartAsync(orphaned: Orphaned);
        await AskAsync(run, TraceVerb.Set, Kmalloc);
        run.Collector.Newest(ConnectionKind.Control)!.Dispose();
        await UntilAsync(() => run.Hellos(ConnectionKind.Control).Count == 2, "the second session");
        await Task.Delay(TimeSpan.FromSeconds(Orphaned + 0.5));
        Assert.Equal("1", run.Guest.ReadInstance(Enable));
        Assert.Equal(2, run.Collector.Offers.Count(o => o.Name == Format));

        run.Collector.OnHello = _ => new Refusal(RefusalReason.StoreNotWritable, "gone");
        run.Collector.Newest(ConnectionKind.Control)!.Dispose();
        await UntilAsync(() => State(run) == ("0", "0", "1027"), "the configuration");
    }

    [Fact]
    public async Task It_comes_back_when_the_agent_stops()
    {
        await using AgentRun run = await StartAsync();
        await AskAsync(run, TraceVerb.Set, Kmalloc);

        await run.StopAsync();

        Assert.Equal(("0", "0", "1027"), State(run));
        Assert.Equal("0", run.Guest.ReadInstance("tracing_on"));
    }

    [Fact]
    public async Task What_a_killed_agent_left_is_gone_when_the_next_one_has_started()
    {
        await using AgentRun run = await StartAsync(prepare: guest =>
        {
            new RingState { BootId = guest.BootId, Generation = guest.Generation, SubBufferBytes = FakeGuest.SubBufferBytes, BufferKb = 1027 }.Save(guest.Paths.State);
            guest.WriteInstance("set_event", "sched:sched_switch\nkmem:kmalloc\n");
            guest.WriteInstance(Enable, "1");
            guest.WriteInstance(Filter, "bytes_req > 4096");
            guest.WriteInstance("buffer_size_kb", "4096");
        });

        Assert.Equal(("0", "0", "1027"), State(run));
        Assert.Equal(run.Guest.Generation, run.Bulk(0)!.Hello.Bulk.Generation);
    }

    [Fact]
    public async Task Configuration_may_refuse_all_of_it_but_the_question()
    {
        await using AgentRun run = await StartAsync(new AgentOptions { Events = ["sched"], AllowTrace = false });

        Assert.Contains("AllowTrace=no", (await AskAsync(run, TraceVerb.Set, Kmalloc)).Refusal, StringComparison.Ordinal);
        Assert.Contains("AllowTrace=no", (await AskAsync(run, TraceVerb.Off)).Refusal, StringComparison.Ordinal);
        Assert.Equal("", (await AskAsync(run, TraceVerb.Show)).Refusal);
        Assert.Equal(("0", "none", "1027\n"), State(run));
    }

    [Theory]
    [InlineData("kmem:nosuch", "no event kmem:nosuch")]
    [InlineData("../../x", "is no event")]
    [InlineData("ftrace:function", "no event")]
    public async Task Refuses_events_that_are_none(string name, string why)
    {
        await using AgentRun run = await StartAsync();
        Assert.Contains(why, (await AskAsync(run, TraceVerb.Set, TraceSettings.None with { Events = [name] })).Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Refuses_filters_of_events_that_are_not_recorded_and_rings_that_the_guest_cannot_bear()
    {
        await using AgentRun run = await StartAsync();
        TraceSettings filter = TraceSettings.None with { Filters = ["kmem:kmalloc bytes_req > 1"] };
        Assert.Contains("not recorded", (await AskAsync(run, TraceVerb.Set, filter)).Refusal, StringComparison.Ordinal);
        // An eighth of 2 GB, for one vCPU.
        Assert.Contains("32 to 251775 KiB", (await AskAsync(run, TraceVerb.Set, TraceSettings.None with { BufferKb = 251_776 })).Refusal, StringComparison.Ordinal);
        Assert.Equal(("0", "none", "1027\n"), State(run));
    }

    [Fact]
    public async Task What_the_kernel_refuses_leaves_what_was()
    {
        await using AgentRun run = await StartAsync();
        await AskAsync(run, TraceVerb.Set, Kmalloc);
        // A folder cannot be written, as a filter that the kernel cannot parse.
        Directory.CreateDirectory(Path.Combine(run.Guest.Root, FakeGuest.Instance, "events/kmem/kfree/filter"));

        TraceAnswer answer = await AskAsync(run, TraceVerb.Set, TraceSettings.None with { Events = ["kmem:kfree"], Filters = ["kmem:kfree nosuch == 1"] });

        Assert.Contains("the kernel refuses the filter of kmem/kfree", answer.Refusal, StringComparison.Ordinal);
        Assert.Equal(Kmalloc.Filters, answer.Settings.Filters);
        Assert.Equal(("1", "bytes_req > 4096", "2048"), State(run));
        Assert.Equal("0", run.Guest.ReadInstance("events/kmem/kfree/enable"));
    }

    [Fact]
    public async Task Tracers_are_off_limits_unless_configured()
    {
        await using AgentRun run = await StartAsync();
        Assert.Contains("AllowTracers=no", (await AskAsync(run, TraceVerb.Set, Functions)).Refusal, StringComparison.Ordinal);
        Assert.Equal("nop\n", run.Guest.ReadInstance("current_tracer"));
    }

    [Fact]
    public async Task A_tracer_begins_a_new_generation_after_the_last_figures_of_the_one_before()
    {
        await using AgentRun run = await StartAsync(new AgentOptions { Events = ["sched"], AllowTracers = true });
        run.Guest.SetStats(0, read: 100, overrun: 7, entries: 20);
        int answeredWhenOffered = 0;
        run.Collector.OnOffer = offer =>
        {
            answeredWhenOffered += offer.Name == "events/header_page" && run.Collector.Counters.Any(c => c is { Cpu: 0, Final: true, ReadEvents: 100, LostEvents: 27 }) ? 1 : 0;
            return OfferAnswer.Have;
        };

        Assert.Equal("", (await AskAsync(run, TraceVerb.Set, Functions)).Refusal);

        Assert.Equal(("function", "vfs_* ksys_read\n", "1"), (run.Guest.ReadInstance("current_tracer"), run.Guest.ReadInstance("set_ftrace_filter"), run.Guest.ReadInstance("tracing_on")));
        await UntilAsync(() => run.Hellos(ConnectionKind.Bulk).Count == 2, "the stream of the new generation");
        Hello[] hellos = [.. run.Hellos(ConnectionKind.Bulk)];
        Assert.Equal(run.Guest.Generation, hellos[0].Bulk.Generation);
        Assert.NotEqual(run.Guest.Generation, hellos[1].Bulk.Generation);
        Assert.Equal(1, answeredWhenOffered);
        Assert.Single(run.Hellos(ConnectionKind.Control));
        run.Guest.Record(0, 1);
        await UntilAsync(() => run.Bulk(0)!.SubBuffers == 1, "a sub-buffer on it");

        Assert.Equal("", (await AskAsync(run, TraceVerb.Off)).Refusal);
        Assert.Equal(("nop", "\n"), (run.Guest.ReadInstance("current_tracer"), run.Guest.ReadInstance("set_ftrace_filter")));
        await UntilAsync(() => run.Hellos(ConnectionKind.Bulk).Count == 3, "the stream of the third generation");
    }

    [Fact]
    public async Task A_tracer_ends_with_the_collector_and_with_the_agent()
    {
        await using AgentRun run = await StartAsync(new AgentOptions { Events = ["sched"], AllowTracers = true }, orphaned: 1);
        await AskAsync(run, TraceVerb.Set, Functions);
        run.Collector.OnHello = _ => new Refusal(RefusalReason.StoreNotWritable, "gone");
        run.Collector.Newest(ConnectionKind.Control)!.Dispose();
        await UntilAsync(() => run.Guest.ReadInstance("current_tracer") == "nop" && run.Guest.ReadInstance("tracing_on") == "1", "no tracer");

        run.Collector.OnHello = hello => run.Welcome(hello);
        await UntilAsync(() => run.Bulk(0) is { HasEnded: false }, "the next session");
        await AskAsync(run, TraceVerb.Set, Functions);
        await run.StopAsync();
        Assert.Equal(("nop", "0"), (run.Guest.ReadInstance("current_tracer"), run.Guest.ReadInstance("tracing_on")));
    }

    [Fact]
    public async Task A_guest_that_cannot_trace_says_so()
    {
        await using AgentRun run = new(prepare: guest => Directory.Delete(Path.Combine(guest.Root, "sys/kernel/tracing"), recursive: true));
        await UntilAsync(() => run.Collector.Newest(ConnectionKind.Control) is not null, "the session");
        Assert.Contains("tracefs is not mounted", (await AskAsync(run, TraceVerb.Show)).Refusal, StringComparison.Ordinal);
    }

    private static async Task<AgentRun> StartAsync(AgentOptions? options = null, Action<FakeGuest>? prepare = null, double formats = 60, double orphaned = 60)
    {
        AgentRun run = new(options: options, prepare: prepare, formats: formats, orphaned: orphaned);
        await UntilAsync(() => run.Bulk(0) is not null, "the bulk connection");
        return run;
    }

    private async Task<TraceAnswer> AskAsync(AgentRun run, TraceVerb verb, TraceSettings? settings = null, int seconds = 0)
    {
        uint id = ++_id;
        await run.Collector.Newest(ConnectionKind.Control)!.SendAsync(new TraceRequest(id, verb, settings ?? TraceSettings.None, seconds));
        await UntilAsync(() => run.Collector.TraceAnswers.Any(a => a.Id == id), $"the answer to {verb}");
        return run.Collector.TraceAnswers.Single(a => a.Id == id);
    }

    private static (string Enable, string Filter, string BufferKb) State(AgentRun run) =>
        (run.Guest.ReadInstance(Enable), run.Guest.ReadInstance(Filter), run.Guest.ReadInstance("buffer_size_kb"));
}
