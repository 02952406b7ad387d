using System.Text.Json;
using VsockPair.Commands;
using VsockPair.Protocol;
using VsockPair.Sessions;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>An operator's <c>vsockpair trace</c> through the running collector to an agent that answers as it likes, or not at all.</summary>
public sealed class TraceControlTests : IDisposable
{
    private static readonly SessionTimes Times = new() { TraceAnswer = TimeSpan.FromSeconds(1) };

    private static readonly TraceSettings Recorded = TraceSettings.None with { Events = ["sched:sched_switch", "kmem:kmalloc"], Filters = ["kmem:kmalloc bytes_req > 4096"], BufferKb = 1027 };

    private readonly TestStore _store = new();

    [Fact]
    public async Task A_request_reaches_the_agent_and_its_answer_the_operator()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Task<TraceRequest> asked = AnswerAsync(guest, request => new TraceAnswer(request.Id, "", Recorded, 3, 500, 29_500));

        Answer answer = await RunAsync("set", "-e", "kmem:kmalloc", "--filter", "bytes_req > 4096", "--buffer-kb", "2048", "--dynamic-debug", "module kvm +p", "--for", "30s");

        Assert.Equal((ExitCode.Done, ""), (answer.ExitCode, answer.Error));
        TraceRequest request = await asked;
        Assert.Equal((TraceVerb.Set, 30, 2048, ""), (request.Verb, request.Seconds, request.Settings.BufferKb, request.Settings.Tracer));
        Assert.Equal(["kmem:kmalloc"], request.Settings.Events);
        Assert.Equal(["kmem:kmalloc bytes_req > 4096"], request.Settings.Filters);
        Assert.Equal(["module kvm +p"], request.Settings.DynamicDebug);
        Assert.Matches("recorded +changed 0s ago, until .*Z \\((29|28)s left\\)\n", answer.Output);
        Assert.Matches("events +sched:sched_switch\n +kmem:kmalloc\n +and 1 more\n", answer.Output);
        Assert.Matches("filters +kmem:kmalloc bytes_req > 4096\n", answer.Output);
        Assert.Contains("1027 KiB per vCPU", answer.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Show_and_off_carry_no_names_and_json_has_all_fields()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        foreach ((string verb, TraceVerb sent) in new[] { ("show", TraceVerb.Show), ("off", TraceVerb.Off) })
        {
            Task<TraceRequest> asked = AnswerAsync(guest, request => new TraceAnswer(request.Id, "", Recorded with { Filters = [] }, 2, null, null));
            Answer answer = await RunAsync(verb, "--json");
            Assert.Equal((sent, 0), ((await asked).Verb, (await asked).Settings.Events.Count));
            JsonElement json = JsonDocument.Parse(answer.Output).RootElement;
            Assert.Equal((JsonValueKind.Null, JsonValueKind.Null, 2, 1027), (json.GetProperty("since").ValueKind, json.GetProperty("until").ValueKind,
                json.GetProperty("event_count").GetInt32(), json.GetProperty("buffer_kb").GetInt32()));
        }
    }

    [Fact]
    public async Task A_refusal_is_shown_escaped()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        _ = AnswerAsync(guest, request => new TraceAnswer(request.Id, "no\u001b[2J\nway", Recorded, 2, null, null));

        Assert.Equal((ExitCode.Failed, "vsockpair: web1: no\\x1b[2J\\x0away\n"), (await RunAsync("set", "-e", "sched")).Failure);
    }

    [Fact]
    public async Task Names_of_a_hostile_agent_do_not_reach_the_terminal_as_they_are()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        _ = AnswerAsync(guest, request => new TraceAnswer(
            request.Id, "", new TraceSettings { Events = ["\u001b]0;x\a"], Filters = ["\r"], Tracer = "\u202e", Functions = ["\u0085"], BufferKb = int.MaxValue, DynamicDebug = ["\u009b"] }, int.MaxValue, long.MinValue, long.MaxValue));

        Answer answer = await RunAsync("show");

        Assert.Equal((ExitCode.Done, ""), (answer.ExitCode, answer.Error));
        Assert.DoesNotContain(answer.Output, c => c != '\n' && (char.IsControl(c) || c == '\u202e'));
    }

    [Fact]
    public async Task An_agent_of_the_first_days_is_said_to_be_too_old_and_is_not_asked()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket) { Capabilities = null };
        guest.Connect();

        (int exitCode, string error) = (await RunAsync("show")).Failure;

        Assert.Equal(ExitCode.Failed, exitCode);
        Assert.Contains("is too old for this", error, StringComparison.Ordinal);
        Assert.False(guest.ControlFrames.TryTake(out _, 200));
    }

    [Fact]
    public async Task An_agent_that_does_not_answer_ends_the_wait_and_its_late_answer_is_dropped()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Assert.Contains("did not answer within 1 s", (await RunAsync("show")).Error, StringComparison.Ordinal);
        Assert.True(guest.ControlFrames.TryTake(out byte[]? late, ScriptedGuestLink.DefaultPatience) && Frame.TryDecode(late, out TraceRequest request) && request.Id == 1);

        Task<TraceRequest> asked = AnswerAsync(guest, next =>
        {
            guest.Control.Send(new TraceAnswer(1, "late", Recorded, 2, null, null));
            return new TraceAnswer(next.Id, "", Recorded, 2, null, null);
        });

        Assert.Equal(ExitCode.Done, (await RunAsync("show")).ExitCode);
        Assert.Equal(2u, (await asked).Id);
        Assert.Equal(0, collector.Status.Violations);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(0)]
    public void An_answer_that_nobody_asked_for_is_a_violation(uint id)
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        guest.Control.Send(new TraceAnswer(id, "", Recorded, 2, null, null));
        TestStore.Await(() => collector.Status.Guests[0].Violations.GetValueOrDefault("UnaskedTraceAnswer") == 1, "the violation is counted");
    }

    [Fact]
    public async Task The_same_answer_twice_is_a_violation()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        _ = AnswerAsync(guest, request =>
        {
            guest.Control.Send(new TraceAnswer(request.Id, "", Recorded, 2, null, null));
            return new TraceAnswer(request.Id, "", Recorded, 2, null, null);
        });
        // Whether the operator sees the first answer or the end of the session is a race.
        await RunAsync("show");
        TestStore.Await(() => collector.Status.Guests[0].Violations.GetValueOrDefault("UnaskedTraceAnswer") == 1, "the violation is counted");
    }

    [Fact]
    public async Task A_session_that_ends_meanwhile_ends_the_wait()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Task<Answer> running = RunAsync("show");
        Assert.True(guest.ControlFrames.TryTake(out _, ScriptedGuestLink.DefaultPatience));
        guest.Control.Dispose();

        Assert.Contains("session ended", (await running.WaitAsync(ScriptedGuestLink.DefaultPatience)).Error, StringComparison.Ordinal);
        TestStore.Await(() => collector.Status.Guests[0].Boots.All(b => b.ConnectedSince is null), "the session is over");
        Assert.Contains("is not connected", (await RunAsync("show")).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_operators_are_served_one_after_the_other()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Task<Answer> first = RunAsync("show");
        Assert.True(guest.ControlFrames.TryTake(out _, ScriptedGuestLink.DefaultPatience));
        Task<Answer> second = RunAsync("show");
        Assert.False(guest.ControlFrames.TryTake(out _, 300));
        guest.Control.Send(new TraceAnswer(1, "", Recorded, 2, null, null));
        Assert.Equal(ExitCode.Done, (await first).ExitCode);
        Assert.True(guest.ControlFrames.TryTake(out _, ScriptedGuestLink.DefaultPatience));
        guest.Control.Send(new TraceAnswer(2, "", Recorded, 2, null, null));
        Assert.Equal(ExitCode.Done, (await second).ExitCode);
    }

    [Fact]
    public async Task The_largest_request_fits_into_a_frame()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Task<TraceRequest> asked = AnswerAsync(guest, request => new TraceAnswer(request.Id, "", Recorded, 2, null, null));
        string[] names = [.. Enumerable.Range(0, Wire.MaxTraceItems).SelectMany(_ => (string[])["-e", new string('a', Wire.MaxTraceTextChars / Wire.MaxTraceItems)])];

        Assert.Equal(ExitCode.Done, (await RunAsync(["set", .. names])).ExitCode);

        Assert.Equal(Wire.MaxTraceItems, (await asked).Settings.Events.Count);
    }

    [Theory]
    [InlineData("web1", "reboot", "", "", "bad_request")]
    [InlineData("web1", "set", "../../x", "", "bad_request")]
    [InlineData("web1", "set", "sched", "hwlat", "bad_request")]
    [InlineData("../web1", "show", "", "", "no_such_guest")]
    public void What_the_socket_gets_is_checked_again(string name, string verb, string events, string tracer, string outcome)
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        using ScriptedGuestLink link = new(StorePaths.ControlSocket(_store.Folder));
        string answer = link.AskLine(Line($"\"{name}\"", verb, $"[\"{events}\"]", tracer));
        Assert.Equal(outcome, JsonDocument.Parse(answer).RootElement.GetProperty("outcome").GetString());
        Assert.False(guest.ControlFrames.TryTake(out _, 200));
    }

    [Fact]
    public void A_command_that_is_not_known_is_answered()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuestLink link = new(StorePaths.ControlSocket(_store.Folder));
        Assert.Equal("{\"error\":\"this service does not know that command\"}\n", link.AskLine("{\"command\":\"nothing\"}"));
    }

    [Theory]
    [InlineData("no json")]
    [InlineData("{\"command\":\"trace\",\"verb\":\"show\"}")]
    [InlineData("{\"command\":null}")]
    public void What_is_no_request_is_answered_by_closing(string line) => AssertCloses(line);

    [Theory]
    [InlineData("null", "[]")]
    [InlineData("\"web1\"", "null")]
    [InlineData("\"web1\"", "[null]")]
    [InlineData("\"web1\"", "[1]")]
    public void What_lacks_a_value_is_no_request(string guest, string events) => AssertCloses(Line(guest, "set", events, ""));

    [Fact]
    public void A_line_without_an_end_is_not_read_for_ever()
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuestLink link = new(StorePaths.ControlSocket(_store.Folder));
        link.TrySendBytes(new byte[1 << 20]);
        Assert.ThrowsAny<Exception>(() => link.AskLine(""));
        Assert.NotNull(collector.Status);
    }

    public void Dispose() => _store.Dispose();

    private void AssertCloses(string line)
    {
        using InProcessCollector collector = new(_store, times: Times);
        using ScriptedGuestLink link = new(StorePaths.ControlSocket(_store.Folder));
        Assert.Throws<InvalidOperationException>(() => link.AskLine(line));
        Assert.NotNull(collector.Status);
    }

    private static string Line(string guest, string verb, string events, string tracer) =>
        $"{{\"command\":\"trace\",\"guest\":{guest},\"verb\":\"{verb}\",\"events\":{events},\"filters\":[],\"tracer\":\"{tracer}\",\"functions\":[],\"buffer_kb\":0,\"dynamic_debug\":[],\"seconds\":0}}";

    /// <summary>Answers the next request.</summary>
    private static Task<TraceRequest> AnswerAsync(ScriptedGuest guest, Func<TraceRequest, TraceAnswer> answer) => Task.Run(() =>
    {
        Assert.True(guest.ControlFrames.TryTake(out byte[]? frame, ScriptedGuestLink.DefaultPatience), "no request came");
        Assert.True(Frame.TryDecode(frame, out TraceRequest request));
        guest.Control.Send(answer(request));
        return request;
    });

    private Task<Answer> RunAsync(params string[] arguments) => Task.Run(async () =>
    {
        StringWriter output = new() { NewLine = "\n" };
        StringWriter error = new() { NewLine = "\n" };
        int exitCode = await CommandRunner.RunAsync(
            Program.Commands(output, error), ["--store", _store.Folder, "trace", TestStore.GuestName, .. arguments], output, error, CancellationToken.None);
        return new Answer(exitCode, output.ToString(), error.ToString());
    });

    private sealed record Answer(int ExitCode, string Output, string Error)
    {
        public (int ExitCode, string Error) Failure => (ExitCode, Error);
    }
}
