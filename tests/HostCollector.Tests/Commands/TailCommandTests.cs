using System.Text;
using System.Text.Json;
using VsockPair.Commands;
using VsockPair.HostCollector.Tests.Export;
using VsockPair.HostCollector.Tests.Sessions;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Commands;

/// <summary>Each test says when the command looks at the files, and what time it is then.</summary>
public sealed class TailCommandTests : IDisposable
{
    private const ulong Start = 100_000_000_000;

    private static readonly TimeSpan LongEnough = TimeSpan.FromSeconds(2);

    private readonly SampleStore _store = new();
    private readonly SampleTrace _trace;
    private readonly SteppedClock _clock = new();
    private readonly StringWriter _output = new() { NewLine = "\n" };
    private int _shown;

    public TailCommandTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon.AddSeconds(-100));
        _trace = new SampleTrace(_store);
        _trace.WriteMetadata();
    }

    public void Dispose() => _store.Dispose();

    [Fact]
    public void Begins_with_the_last_ten_of_all_vcpus_and_goes_on()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 100), SampleTrace.SubBufferOf(Start + 100_000, 100, 4));
        _trace.WriteSegment(1, Start + 50_500, SampleTrace.SubBufferOf(Start + 100_500, 500, 5));
        using TailCommand tail = Tail();
        Assert.Equal([99, 100, 500, 101, 501, 102, 502, 103, 503, 504], Values(Poll(tail)));
        Assert.Empty(Values(Poll(tail)));
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + 200_000, 104, 2));
        Assert.Equal([104, 105], Values(PollLater(tail)));
    }

    [Fact]
    public void Goes_on_over_rotation_compression_and_a_torn_slot()
    {
        string first = _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        using TailCommand tail = Tail();
        Assert.Equal([0], Values(Poll(tail)));
        byte[] next = SampleTrace.SubBufferOf(Start + 1000, 1, 1);
        _trace.WriteSegment(0, Start, next[..1000]);
        Assert.Empty(Values(PollLater(tail)));
        _trace.WriteSegment(0, Start, next[1000..], SampleTrace.SubBufferOf(Start + 2000, 2, 1));
        // Gone under its name, as when its compressed form takes its place; what is open is still read.
        File.Delete(first);
        _trace.WriteSegment(0, Start + 3000, SampleTrace.SubBufferOf(Start + 3000, 3, 1));
        _trace.WriteSegment(0, Start + 4000, SampleTrace.SubBufferOf(Start + 4000, 4, 1));
        Assert.Equal([1, 2, 3, 4], Values(PollLater(tail)));
        Assert.DoesNotContain("DROPPED", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_retention_took_unread_is_told()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        using TailCommand tail = Tail();
        Poll(tail);
        SampleStore.AddLosses(
            _store.Guest,
            new LossRecord { Time = SampleStore.Noon, Source = "retention", Stream = "cpu0", First = 5, Last = Start - 1, Events = 1000, Boot = SampleStore.NewBoot },
            new LossRecord { Time = SampleStore.Noon, Source = "retention", Stream = "cpu1", First = Start + 1000, Last = Start + 2000, Events = 1000, Boot = SampleStore.NewBoot },
            new LossRecord { Time = SampleStore.Noon, Source = "retention", Stream = "cpu0", First = Start + 1000, Last = Start + 2000, Events = 77, Boot = SampleStore.NewBoot });
        _trace.WriteSegment(0, Start + 9000, SampleTrace.SubBufferOf(Start + 9000, 9, 1));
        string[] lines = PollLater(tail);
        Assert.Equal("CPU:0 [77 EVENTS DROPPED]", lines[0]);
        Assert.Equal(SampleTrace.Line(0, Start + 9000, 9), lines[1]);
        Assert.Contains(lines.Concat(PollLater(tail)), l => l.EndsWith("; 77 removed by retention before they were read --", StringComparison.Ordinal));
    }

    [Fact]
    public void VCPUs_are_put_in_order_of_time_although_a_quiet_one_is_stored_later()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        _trace.WriteSegment(1, Start + 1, SampleTrace.SubBufferOf(Start + 1, 1000, 1));
        using TailCommand tail = Tail();
        Poll(tail);
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + 3_000_000, 1, 3));
        Assert.Empty(Values(Poll(tail)));
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Empty(Values(Poll(tail)));
        // vCPU 1 has now reached event 1 of the other, whose later ones have still to wait.
        _trace.WriteSegment(1, Start + 1, SampleTrace.SubBufferOf(Start + 2_000_000, 1001, 1), SampleTrace.SubBufferOf(Start + 3_000_500, 1002, 1));
        Assert.Equal([1001, 1, 1002], Values(Poll(tail)));
        Assert.Equal([2, 3], Values(PollLater(tail)));
    }

    [Fact]
    public void VCPU_that_appears_is_shown_from_its_beginning_and_others_may_be_left_out()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        using TailCommand tail = Tail(new TailRequest("web1", [3], [], Json: false));
        Assert.Empty(Values(Poll(tail)));
        _trace.WriteSegment(3, Start + 10, SampleTrace.SubBufferOf(Start + 10, 300, 20));
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + 1000, 1, 1));
        _clock.Advance(LongEnough);
        Assert.Equal(Enumerable.Range(300, 20), Values(PollLater(tail)));
    }

    [Fact]
    public void New_boot_is_told_after_the_rest_of_the_old_one()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        using TailCommand tail = Tail();
        Poll(tail);
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + 1000, 1, 1));
        const string Reboot = "1f1b2c3d-0000-0000-0000-000000000003";
        _store.AddBoot(Reboot, SampleStore.Noon);
        SampleTrace trace = new(_store, Reboot);
        trace.WriteMetadata();
        trace.WriteSegment(0, 500, SampleTrace.SubBufferOf(500, 20, 15));
        string[] lines = PollLater(tail);
        Assert.Equal([1, .. Enumerable.Range(20, 15)], Values(lines));
        int boot = Array.FindIndex(lines, l => l.StartsWith($"-- boot {Reboot}, kernel 6.12.0-amd64, first seen", StringComparison.Ordinal));
        Assert.Equal([SampleTrace.Line(0, Start + 1000, 1), "-- 1.0 events/s: tick 1.0 --"], lines[(boot - 2)..boot]);
    }

    [Fact]
    public void What_a_terminal_cannot_show_is_counted()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        using TailCommand tail = Tail();
        Poll(tail);
        // The summary about the first event.
        _clock.Advance(TimeSpan.FromSeconds(11));
        Poll(tail);
        for (int i = 0; i < 10; i++)
        {
            _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + (ulong)(1 + i) * 1_000_000, 1 + i * 100, 100));
        }
        SampleStore.AddLosses(
            _store.BootFolder(SampleStore.NewBoot),
            new LossRecord { Time = SampleStore.Noon, Source = "ring", Stream = "cpu0", Events = 1234 },
            new LossRecord { Time = SampleStore.Noon, Source = "kmsg", Stream = "kmsg", Records = 9 });
        Assert.Equal(Enumerable.Range(1, TailTextPrinter.LinesPerSecond), Values(Poll(tail)));
        _clock.Advance(TimeSpan.FromSeconds(1));
        string[] lines = Poll(tail);
        Assert.Equal(["-- 1,000 events/s: tick 1,000; 800 not shown; 1,234 lost --"], lines);
        // A second later there is room again.
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + 20_000_000, 5000, 3));
        Assert.Equal([5000, 5001, 5002], Values(PollLater(tail)));
    }

    [Fact]
    public void Format_that_arrives_later_is_used()
    {
        _trace.WriteMetadata(new Dictionary<string, byte[]>());
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        using TailCommand tail = Tail();
        Assert.Contains("[UNKNOWN EVENT]", Poll(tail)[^1], StringComparison.Ordinal);
        _trace.WriteMetadata();
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + 1000, 1, 1));
        Assert.Contains(SampleTrace.Line(0, Start + 1000, 1), PollLater(tail));
    }

    /// <summary>A guest's names change all the time; who was named by an event must not lose that name with each change.</summary>
    [Fact]
    public void What_events_have_told_outlives_new_names()
    {
        SampleSwitches switches = new(_store, "10 a\n");
        switches.Write(0, Start, (10, "a", 77, "worker"), (77, "worker", 10, "a"));
        using TailCommand tail = Tail();
        Assert.StartsWith("          worker-77 ", Poll(tail)[^1], StringComparison.Ordinal);
        switches = new SampleSwitches(_store, "10 a\n88 b\n");
        switches.Write(0, Start + 1_000_000, (77, "other", 10, "a"), (88, "b", 10, "a"));
        string[] lines = PollLater(tail);
        Assert.StartsWith("          worker-77 ", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("               b-88 ", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Another_layout_of_sub_buffers_is_told()
    {
        _trace.WriteMetadata(new Dictionary<string, byte[]> { ["events/header_page"] = "\tfield: local_t commit;\toffset:8;\tsize:4;\tsigned:1;\n\tfield: char data;\toffset:12;\tsize:4084;\tsigned:1;\n"u8.ToArray() });
        using StringWriter error = new();
        using TailCommand tail = new(new CommandContext(_store.Root, _output, error, _clock), new TailRequest("web1", [], [], Json: false));
        Assert.Contains("does not describe the sub-buffers of a 64-bit kernel", error.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("demo", true)]
    [InlineData("demo:t?ck", true)]
    [InlineData("demo:tock", false)]
    [InlineData("dem", false)]
    public void Only_the_events_that_are_wanted(string pattern, bool isShown)
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        using TailCommand tail = Tail(new TailRequest("web1", [], [pattern], Json: false));
        Assert.Equal(isShown ? [0] : [], Values(Poll(tail)));
    }

    [Fact]
    public void Names_and_texts_of_a_guest_make_no_line_and_no_escape()
    {
        _trace.WriteMetadata(new Dictionary<string, byte[]>
        {
            ["saved_cmdlines"] = Encoding.UTF8.GetBytes($"{SampleTrace.Pid} -- boot faked\u001b[2J by a thread\n"),
            ["events/demo/tick/format"] = Encoding.UTF8.GetBytes(
                "name: ti\u001b[2Jck\nID: 300\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\tfield:char text[8];\toffset:12;\tsize:8;\tsigned:0;\n\n"
                + "print fmt: \"%s\", REC->text\n"),
        });
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1, text: "a\n-- \u001b["));
        using TailCommand tail = Tail();
        _clock.Advance(TimeSpan.FromSeconds(11));
        string[] lines = [.. Poll(tail), .. PollLater(tail), .. PollLater(tail)];
        Assert.StartsWith(" -- boot faked\\x1b[2J by a thread-77", lines[1], StringComparison.Ordinal);
        Assert.EndsWith(" a\\x0a-- \\x1b[", lines[1], StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', _output.ToString());
        Assert.Single(lines, l => l.StartsWith("-- boot", StringComparison.Ordinal));
    }

    [Fact]
    public void Json_has_every_event_and_loss()
    {
        _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start, 0, 1));
        using TailCommand tail = Tail(new TailRequest("web1", [], [], Json: true));
        Poll(tail);
        for (int i = 0; i < 10; i++)
        {
            _trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + (ulong)(1 + i) * 1_000_000, 1 + i * 100, 100));
        }
        SampleStore.AddLosses(_store.BootFolder(SampleStore.NewBoot), new LossRecord { Time = SampleStore.Noon, Source = "transport", Stream = "cpu0", Events = 12 });
        JsonElement[] lines = [.. PollLater(tail).Select(l => JsonDocument.Parse(l).RootElement)];
        Assert.Equal(12, Assert.Single(lines, l => l.TryGetProperty("lost", out _)).GetProperty("lost").GetInt32());
        JsonElement[] events = [.. lines.Where(l => l.TryGetProperty("event", out _))];
        Assert.Equal(Enumerable.Range(1, 1000), events.Select(e => e.GetProperty("fields").GetProperty("value").GetInt32()));
        Assert.Equal("2026-01-31T12:00:00.001000000Z", events[0].GetProperty("time").GetString());
        Assert.Equal(SampleStore.NewBoot, JsonDocument.Parse(_output.ToString().Split('\n')[0]).RootElement.GetProperty("boot").GetString());
    }

    [Fact]
    public async Task What_is_asked_for_wrongly_is_named()
    {
        (int exitCode, _, string error) = await _store.RunAsync("tail", "web2");
        Assert.Equal((ExitCode.NothingFound, "vsockpair: no guest web2; known: web1\n"), (exitCode, error));
        (exitCode, _, error) = await _store.RunAsync("tail", "web1", "-e", "sched sw");
        Assert.Equal((ExitCode.Usage, "vsockpair: -e sched sw: write SYSTEM or SYSTEM:EVENT, e.g. sched:sched_switch\n"), (exitCode, error));
    }

    private TailCommand Tail() => Tail(new TailRequest("web1", [], [], Json: false));

    private TailCommand Tail(TailRequest request) => new(new CommandContext(_store.Root, _output, TextWriter.Null, _clock), request);

    /// <returns>The lines that it added, also the one about the boot that stands above all.</returns>
    private string[] Poll(TailCommand tail)
    {
        int before = _shown;
        tail.Poll(CancellationToken.None);
        _shown = _output.GetStringBuilder().Length;
        return _output.ToString()[before..].Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>Looks, waits until nothing need be held back, and looks again.</summary>
    private string[] PollLater(TailCommand tail)
    {
        _clock.Advance(LongEnough);
        string[] lines = Poll(tail);
        _clock.Advance(LongEnough);
        return [.. lines, .. Poll(tail)];
    }

    private static IEnumerable<int> Values(IEnumerable<string> lines) => lines.Select(ValueOf).OfType<int>();

    private static int? ValueOf(string line)
    {
        int at = line.IndexOf("value=", StringComparison.Ordinal);
        return at < 0 ? null : int.Parse(line[(at + 6)..].Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
    }
}
