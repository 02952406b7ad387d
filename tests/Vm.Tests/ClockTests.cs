using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>Guest time stamps on the host's clock, judged by moments that host and guest share through memory and through nothing of the product's.</summary>
public sealed partial class ClockTests(ITestOutputHelper output)
{
    private const int Moments = 100;
    private const long Sharp = 100_000;
    private const long LargestBound = 1_000_000;
    private const string Marker = "/sys/kernel/tracing/instances/vsockpair/trace_marker";
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan TwoBursts = TimeSpan.FromSeconds(22);

    [Fact]
    public async Task Trace_and_kernel_log_are_placed_within_the_stated_bound_also_after_a_pause_and_a_step()
    {
        using MomentMarks marks = new();
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(await marks.AddToAsync(new GuestOptions { Cpus = 2, Name = "web1", ExtraKernelArguments = "printk.devkmsg=on" }));
        await lab.WaitForStreamsAsync(guest);
        await Task.Delay(TwoBursts);
        List<(string What, Round Round)> rounds = [("steady", await MarkAsync(marks, guest))];
        // Between the last sample before a pause and the first after it nobody knows on which side of the pause a moment lies: the bound there is the pause itself.
        await Task.Delay(TwoBursts);

        await guest.Guest.Qmp.ExecuteAsync("stop");
        await Task.Delay(TimeSpan.FromSeconds(60));
        await guest.Guest.Qmp.ExecuteAsync("cont");
        int samples = ClockLines(lab).Length;
        await lab.AwaitAsync(guest, () => ClockLines(lab).Length >= samples + 2, TimeSpan.FromSeconds(40), "clock samples after the pause");
        rounds.Add(("after a pause of 60 s", await MarkAsync(marks, guest)));

        (await guest.Guest.RunAsync("date -s '2031-05-06 07:08:09'")).EnsureSuccess();
        rounds.Add(("after a step of the guest's realtime", await MarkAsync(marks, guest)));

        await Task.Delay(TwoBursts);
        await lab.EndAsync(guest);
        output.WriteLine((await lab.Collector.RunAsync("guests", "web1")).Text);
        foreach ((string what, Round round) in rounds)
        {
            await CheckTraceAsync(lab, what, round.Trace);
            await CheckLogAsync(lab, what, round.Log);
        }
        JsonNode clock = JsonNode.Parse((await lab.Collector.RunAsync("guests", "web1", "--json")).Text)!["clock"]!;
        Assert.Equal(1, clock["jumps"]!.GetValue<int>());
        Assert.InRange(clock["last_jumps"]![0]!["ahead_ns"]!.GetValue<long>(), 59_500_000_000, 61_000_000_000);
    }

    [Fact]
    public async Task Two_guests_are_merged_in_the_order_of_the_host()
    {
        using MomentMarks marksA = new();
        using MomentMarks marksB = new();
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest a = await lab.StartGuestAsync(await marksA.AddToAsync(new GuestOptions { Cpus = 1, Name = "a", MemoryMiB = 384 }));
        // Half a minute later, so that nothing but the samples relates their trace clocks.
        await Task.Delay(TimeSpan.FromSeconds(20));
        AgentGuest b = await lab.StartGuestAsync(await marksB.AddToAsync(new GuestOptions { Cpus = 1, Name = "b", MemoryMiB = 384, Kernel = GuestKernel.Linux61 }));
        await lab.WaitForStreamsAsync(a);
        await lab.WaitForStreamsAsync(b);
        await Task.Delay(TwoBursts);
        await MomentMarks.StartAsync(a.Guest, Marker);
        await MomentMarks.StartAsync(b.Guest, Marker);
        List<string> order = [];
        for (int i = 0; i < 60; i++)
        {
            bool first = i % 3 != 1;
            Moment moment = (first ? marksA : marksB).Mark(MomentKind.Marker);
            order.Add($"{(first ? "a" : "b")} {moment.Number}");
            await Task.Delay(10);
        }
        await MomentMarks.StopAsync(a.Guest);
        await MomentMarks.StopAsync(b.Guest);
        await Task.Delay(TwoBursts);
        await lab.EndAsync(a);
        await lab.EndAsync(b);

        string fileA = await ExportAsync(lab, "a", "--clock", "host");
        string fileB = await ExportAsync(lab, "b", "--clock", "host");
        List<string> report = [];
        await TraceCmdReport.PrintAsync(fileA, report.Add, "-t", "-i", fileB);
        Assert.Equal(order, report.Select(line => MergedMoment().Match(line)).Where(m => m.Success).Select(m => $"{m.Groups[1].Value} {m.Groups[2].Value}"));

        // A trace that is on a clock of its own cannot be merged with, and the refusal says how to make one that can.
        CommandOutput refused = await lab.Collector.RunAsync("export", "a", "-o", fileA, "--host-trace", fileB);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("is on clock boot", refused.Error, StringComparison.Ordinal);
        Assert.Contains("record it with trace-cmd record -C mono", refused.Error, StringComparison.Ordinal);
    }

    private static async Task<Round> MarkAsync(MomentMarks marks, AgentGuest guest)
    {
        await MomentMarks.StartAsync(guest.Guest, Marker);
        try
        {
            return new Round(
                marks.MarkSharp(MomentKind.Marker, Moments, Sharp, Interval),
                marks.MarkSharp(MomentKind.Kmsg, Moments, 3 * Sharp, Interval));
        }
        finally
        {
            await MomentMarks.StopAsync(guest.Guest);
        }
    }

    private async Task CheckTraceAsync(Lab lab, string what, IReadOnlyList<Moment> moments)
    {
        string file = await ExportAsync(lab, "web1", "--clock", "host", "-S", Rfc(moments[0].RealTimeBefore - 100_000_000), "-U", Rfc(moments[^1].RealTimeAfter + 100_000_000));
        long bound = BoundIn(_exported);
        List<string> report = [];
        await TraceCmdReport.PrintAsync(file, report.Add, "-t");
        Dictionary<long, long> times = report.Select(line => StampedMoment().Match(line)).Where(m => m.Success)
            .ToDictionary(
                m => long.Parse(m.Groups[2].Value, CultureInfo.InvariantCulture),
                m => long.Parse(m.Groups[1].Value.Replace(".", "", StringComparison.Ordinal), CultureInfo.InvariantCulture));
        Judge($"trace, {what}", moments, m => (times[m.Number], bound));
    }

    private async Task CheckLogAsync(Lab lab, string what, IReadOnlyList<Moment> moments)
    {
        CommandOutput log = await lab.Collector.RunAsync("kmsg", "web1", "--json");
        Dictionary<long, (long Time, long Bound)> times = [];
        foreach (JsonNode record in log.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!))
        {
            if (record["text"]?.GetValue<string>() is string text && text.StartsWith("moment ", StringComparison.Ordinal))
            {
                long time = (DateTimeOffset.Parse(record["time"]!.GetValue<string>(), CultureInfo.InvariantCulture) - DateTimeOffset.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick;
                times[long.Parse(text.AsSpan(7).Trim(), CultureInfo.InvariantCulture)] = (time, record["time_error_ns"]!.GetValue<long>());
            }
        }
        Judge($"kernel log, {what}", moments, m => times[m.Number]);
    }

    /// <summary>Strictly: wherever between the host's two stamps a moment was, it lies within the bound.</summary>
    private void Judge(string what, IReadOnlyList<Moment> moments, Func<Moment, (long Time, long Bound)> placed)
    {
        long largest = moments.Max(m => placed(m).Bound);
        int within = moments.Count(m => placed(m) is var (time, bound) && time - bound <= m.RealTimeBefore && m.RealTimeAfter <= time + bound);
        long[] wrong = [.. moments.Select(m => placed(m).Time - (m.RealTimeBefore + m.Width / 2)).Order()];
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{what}: {within} of {moments.Count} within the bound of at most {largest / 1000} us; off by {wrong[0] / 1000} to {wrong[^1] / 1000} us, median {wrong[wrong.Length / 2] / 1000}; moments known to {moments.Max(m => m.Width) / 1000} us"));
        Assert.InRange(largest, 1, LargestBound);
        Assert.InRange(within, moments.Count * 95 / 100, moments.Count);
    }

    private string _exported = "";

    private async Task<string> ExportAsync(Lab lab, string guest, params string[] options)
    {
        string file = Path.Combine(lab.Collector.Store, $"{guest}.dat");
        CommandOutput export = await lab.Collector.RunAsync(["export", guest, "-o", file, .. options]);
        output.WriteLine(export.Error);
        Assert.Equal(0, export.ExitCode);
        _exported = export.Error;
        return file;
    }

    private static long BoundIn(string exported)
    {
        Match match = StatedBound().Match(exported);
        Assert.True(match.Success, exported);
        return (long)(double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * match.Groups[2].Value switch { "ns" => 1, "µs" => 1000, "ms" => 1e6, _ => 1e9 });
    }

    private static string[] ClockLines(Lab lab) => File.ReadAllLines(Path.Combine(lab.Stored("web1").OnlyBoot.Folder, "clock.jsonl"));

    private static string Rfc(long nanoseconds) => DateTimeOffset.UnixEpoch.AddTicks(nanoseconds / TimeSpan.NanosecondsPerTick).ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^host time ±([\d.]+) (ns|µs|ms|s)\s*$", RegexOptions.Multiline)]
    private static partial Regex StatedBound();

    [GeneratedRegex(@"\s(\d+\.\d{9}):.*moment (\d+)")]
    private static partial Regex StampedMoment();

    [GeneratedRegex(@"([ab])\.dat: .*moment (\d+)")]
    private static partial Regex MergedMoment();

    private sealed record Round(IReadOnlyList<Moment> Trace, IReadOnlyList<Moment> Log);
}
