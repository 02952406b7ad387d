using System.Diagnostics;
using System.Text;
using System.Text.Json;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.TestKit;
using VsockPair.Watch;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests.Watch;

public sealed class QmpMessageTests(ITestOutputHelper output)
{
    private static readonly DateTimeOffset At = DateTimeOffset.FromUnixTimeMilliseconds(1795522471668).AddTicks(7340);

    [Fact]
    public void Lines_of_a_real_QEMU_are_understood()
    {
        Assert.Equal(QmpMessageKind.Greeting, Read(QmpLine.Greeting).Kind);

        QmpMessage panicked = Read(QmpLine.Panicked);
        Assert.Equal((QmpMessageKind.Event, "GUEST_PANICKED", At), (panicked.Kind, panicked.Name, panicked.Time));
        Assert.Equal(new MachineEvent(MachineEventKind.Panicked, At, null), Map(QmpLine.Panicked));
        Assert.Equal("""{"type": "hyper-v", "arg1": 1, "arg2": 2, "arg3": 3, "arg4": 4, "arg5": 5}""", Map(QmpLine.HyperV)?.Detail);
        Assert.Equal("host-qmp-system-reset", Map(QmpLine.Reset)?.Detail);
        Assert.Equal((MachineEventKind.Resumed, null), (Map(QmpLine.Resume)?.Kind, Map(QmpLine.Resume)?.Detail));
        Assert.Equal((MachineEventKind.Watchdog, "reset"), (Map(QmpLine.Watchdog)?.Kind, Map(QmpLine.Watchdog)?.Detail));
        Assert.Null(Map(QmpLine.DumpCompleted));

        Assert.True(QmpEvents.TryReadDumpError(Read(QmpLine.DumpCompleted), out string? none));
        Assert.Null(none);
        Assert.True(QmpEvents.TryReadDumpError(Read(QmpLine.DumpFailed), out string? full));
        Assert.Equal("dump: failed to save memory: No space left on device", full);

        QmpMessage status = Read(QmpLine.Status);
        Assert.Equal((QmpMessageKind.Return, 7L), (status.Kind, status.Id));
        Assert.Equal("guest-panicked", JsonSerializer.Deserialize(status.Body, QmpJson.Default.QmpStatus)!.Status);
        QmpMessage error = Read(QmpLine.Error);
        Assert.Equal((QmpMessageKind.Error, 9L, "dump: no guest memory to dump"), (error.Kind, error.Id, error.Name));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{} {}")]
    [InlineData("""{"event": "\ud800"}""")]
    [InlineData("not JSON")]
    public void What_QEMU_would_not_write_is_refused(string line) => Assert.False(QmpMessage.TryParse(Encoding.UTF8.GetBytes(line), out _));

    [Fact]
    public void Depth_is_bounded()
    {
        string deep = new('[', QmpMessage.MaxDepth + 1);
        Assert.False(QmpMessage.TryParse(Encoding.UTF8.GetBytes($$"""{"return": {{deep}}{{deep.Replace('[', ']')}}}"""), out _));
    }

    [Theory]
    [InlineData("""{"seconds": -1, "microseconds": 0}""")]
    [InlineData("""{"seconds": 99999999999999, "microseconds": 0}""")]
    [InlineData("""{"seconds": 1e300, "microseconds": 0}""")]
    [InlineData("""{"seconds": 4000000000, "microseconds": 0}""")]
    [InlineData("[]")]
    [InlineData("null")]
    public void A_time_that_is_none_or_not_now_is_replaced_by_now(string timestamp)
    {
        QmpMessage message = Read($$"""{"event": "RESUME", "timestamp": {{timestamp}}}""");
        Assert.True(QmpEvents.TryMap(message, At, out MachineEvent known));
        Assert.Equal(At, known.Time);
    }

    [Fact]
    public void A_name_that_is_longer_than_any_of_QEMUs_is_no_event_of_ours() =>
        Assert.Null(Map($$"""{"event": "{{new string('A', 100_000)}}"}"""));

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Mutated_lines_are_read_without_harm()
    {
        int cases = Fuzz.Cases(0.1);
        Mutator mutator = new(Fuzz.Seed + 40);
        byte[][] lines = [.. QmpLine.All.Select(l => Encoding.UTF8.GetBytes(l))];
        int accepted = 0;
        long most = 0;
        long longest = 0;
        Stopwatch total = Stopwatch.StartNew();
        for (int i = 0; i < cases; i++)
        {
            byte[] line = mutator.File(lines[i % lines.Length]);
            long before = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            if (QmpMessage.TryParse(line, out QmpMessage message))
            {
                accepted++;
                QmpEvents.TryMap(message, At, out _);
                QmpEvents.TryReadDumpError(message, out _);
            }
            longest = Math.Max(longest, Stopwatch.GetTimestamp() - start);
            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        string result = $"{cases} cases in {total.Elapsed.TotalSeconds:0} s; longest {Stopwatch.GetElapsedTime(0, longest).TotalMilliseconds:0} ms, {most >> 10} KiB allocated; {accepted} accepted";
        output.WriteLine(result);
        Fuzz.Record("QMP, mutated lines", result);
        Assert.InRange(accepted, cases / 20, cases - cases / 20);
        Assert.InRange(most, 0, 1 << 20);
        Assert.InRange(Stopwatch.GetElapsedTime(0, longest), TimeSpan.Zero, TimeSpan.FromSeconds(5));
    }

    private static QmpMessage Read(string line)
    {
        Assert.True(QmpMessage.TryParse(Encoding.UTF8.GetBytes(line), out QmpMessage message), line);
        return message;
    }

    private static MachineEvent? Map(string line) => QmpEvents.TryMap(Read(line), At, out MachineEvent known) ? known : null;
}
