using System.Globalization;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>What the agent costs its guest: memory, and wake-ups while nothing happens.</summary>
public sealed class FootprintTests(ITestOutputHelper output)
{
    private const int MostResidentKiB = 6 * 1024;
    private const double MostSwitchesPerSecondAndVcpu = 1.5;
    private const int IdleSeconds = 60;

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
        long before = await SwitchesAsync(guest);
        await Task.Delay(TimeSpan.FromSeconds(IdleSeconds));
        double rate = (await SwitchesAsync(guest) - before) / (double)IdleSeconds / guest.Cpus;

        await guest.LoadAsync(seconds: 15, 500_000);
        int afterMore = await ResidentKiBAsync(guest);
        output.WriteLine($"VmRSS {afterLoad} KiB after 5 s of load, {afterMore} KiB after 15 s more; idle: {rate:0.00} context switches per second and vCPU");
        output.WriteLine((await guest.Guest.RunAsync("grep -h -e Name -e ctxt /proc/$(pidof vsockpair-agent)/task/*/status")).Text);
        Assert.InRange(afterLoad, 1, MostResidentKiB);
        Assert.InRange(afterMore, 1, Math.Min(MostResidentKiB, afterLoad + 256));
        Assert.InRange(rate, 0, MostSwitchesPerSecondAndVcpu);
    }

    private static async Task<int> ResidentKiBAsync(AgentGuest guest)
    {
        string text = (await guest.Guest.RunAsync("grep VmRSS /proc/$(pidof vsockpair-agent)/status")).EnsureSuccess().Text;
        return int.Parse(text.Split(':')[1].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
    }

    private static async Task<long> SwitchesAsync(AgentGuest guest)
    {
        string text = (await guest.Guest.RunAsync("cat /proc/$(pidof vsockpair-agent)/task/*/status")).EnsureSuccess().Text;
        return text.Split('\n').Where(line => line.Contains("ctxt_switches", StringComparison.Ordinal))
            .Sum(line => long.Parse(line.Split(':')[1], CultureInfo.InvariantCulture));
    }
}
