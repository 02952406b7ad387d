using System.Diagnostics;
using System.Globalization;
using System.Text;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>What the agent costs its guest: memory, and wake-ups while nothing happens.</summary>
public sealed class FootprintTests(ITestOutputHelper output)
{
    private const int MostResidentKiB = 6 * 1024;
    private const double MostSwitchesPerSecondAndVcpu = 1.0;
    private const int IdleSeconds = 60;

    private static readonly TimeSpan FlushTime = TimeSpan.FromSeconds(1);

    // For a command and its answer, and for vCPUs that wait for their turn on the test machine.
    private static readonly TimeSpan Emulation = TimeSpan.FromSeconds(2);

    [Fact]
    public async Task Agent_stays_small_and_lets_an_idle_guest_sleep()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 4, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);
        await guest.LoadAsync(seconds: 5, 500_000);
        int afterLoad = await ResidentKiBAsync(guest);

        await Task.Delay(TimeSpan.FromSeconds(10));
        Dictionary<string, ThreadSwitches> before = await SwitchesAsync(guest);
        await Task.Delay(TimeSpan.FromSeconds(IdleSeconds));
        Dictionary<string, ThreadSwitches> after = await SwitchesAsync(guest);
        double rate = (after.Values.Sum(thread => thread.All) - before.Values.Sum(thread => thread.All)) / (double)IdleSeconds / guest.Cpus;
        foreach ((string thread, ThreadSwitches switches) in after)
        {
            ThreadSwitches was = before.GetValueOrDefault(thread, new ThreadSwitches(0, 0));
            output.Measured($"idle for {IdleSeconds} s: {thread} gave way {switches.Voluntary - was.Voluntary} times, was put off {switches.Involuntary - was.Involuntary} times");
        }

        for (int cpu = 0; cpu < guest.Cpus; cpu++)
        {
            TimeSpan tail = await TailDelayAsync(lab, guest, cpu);
            output.Measured($"cpu{cpu} slept; its next events were on the host's disk after {tail.TotalSeconds:0.00} s");
            Assert.InRange(tail, TimeSpan.Zero, FlushTime + Emulation);
        }

        await guest.LoadAsync(seconds: 15, 500_000);
        int afterMore = await ResidentKiBAsync(guest);
        output.Measured($"VmRSS {afterLoad} KiB after 5 s of load, {afterMore} KiB after 15 s more; idle: {rate:0.00} context switches per second and vCPU");
        Assert.InRange(afterLoad, 1, MostResidentKiB);
        Assert.InRange(afterMore, 1, Math.Min(MostResidentKiB, afterLoad + 256));
        Assert.InRange(rate, 0, MostSwitchesPerSecondAndVcpu);
    }

    /// <summary>From a few events on a quiet vCPU until the store has them.</summary>
    private static async Task<TimeSpan> TailDelayAsync(Lab lab, AgentGuest guest, int cpu)
    {
        string text = $"tail of cpu{cpu}, once";
        string mark = $"for i in 1 2 3 4 5; do echo '{text}' > /sys/kernel/tracing/instances/vsockpair/trace_marker; done";
        long start = Stopwatch.GetTimestamp();
        (await guest.Guest.RunAsync($"taskset {1 << cpu:x} sh -c \"{mark}\"")).EnsureSuccess();
        byte[] wanted = Encoding.ASCII.GetBytes(text);
        await lab.AwaitAsync(
            guest,
            () => lab.Stored(guest.Name).OnlyBoot.Segments(cpu).Any(segment => segment.Read().AsSpan().IndexOf(wanted) >= 0),
            TimeSpan.FromSeconds(20),
            $"'{text}' in the store");
        return Stopwatch.GetElapsedTime(start);
    }

    private static async Task<int> ResidentKiBAsync(AgentGuest guest)
    {
        string text = (await guest.Guest.RunAsync("grep VmRSS /proc/$(pidof vsockpair-agent)/status")).EnsureSuccess().Text;
        return int.Parse(text.Split(':')[1].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
    }

    /// <summary>By thread: its number and name.</summary>
    private static async Task<Dictionary<string, ThreadSwitches>> SwitchesAsync(AgentGuest guest)
    {
        string text = (await guest.Guest.RunAsync(
            "for task in /proc/$(pidof vsockpair-agent)/task/*; do "
            + "echo ${task##*/} $(cat $task/comm) $(sed -n 's/^[a-z]*voluntary_ctxt_switches://p' $task/status); done")).EnsureSuccess().Text;
        return text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')).ToDictionary(
            parts => $"{parts[0]} {parts[1]}",
            parts => new ThreadSwitches(long.Parse(parts[^2], CultureInfo.InvariantCulture), long.Parse(parts[^1], CultureInfo.InvariantCulture)));
    }

    private sealed record ThreadSwitches(long Voluntary, long Involuntary)
    {
        public long All => Voluntary + Involuntary;
    }
}
