using System.Text.Json.Nodes;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary><c>vsockpair-agent check</c> in real guests, and what the host is told of it.</summary>
public sealed class CrashReadinessTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_guest_with_everything_lacks_nothing_until_something_is_taken_away(bool older)
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions
        {
            Kernel = older ? GuestKernel.Linux61 : GuestKernel.Linux612,
            Name = "web1",
            Ramoops = true,
            PersistentTraceBuffer = !older,
            InitScript = "echo 1 >/proc/sys/kernel/panic_on_oops\nln -sf /proc/self/mounts /etc/mtab",
        });
        await lab.WaitForStreamsAsync(guest);

        CommandResult text = await guest.Guest.RunAsync("vsockpair-agent check");
        output.WriteLine(text.Text);
        Assert.Equal(0, text.ExitCode);
        (int exitCode, Dictionary<string, JsonNode> checks) = await CheckAsync(guest);
        Assert.Equal(0, exitCode);
        Assert.Equal(11, checks.Count);
        Assert.All(checks, c => Assert.True(c.Value["ok"]?.GetValue<bool>() ?? (older && c.Key == "persistent-ring"), c.Value.ToJsonString()));

        await lab.AwaitAsync(guest, () => lab.Stored("web1").Boots[0].Record["readiness"] is JsonArray { Count: 10 }, TimeSpan.FromSeconds(10), "readiness in boot.json");
        string verdict = (await lab.Collector.RunAsync("guests", "web1")).Text;
        output.WriteLine(verdict);
        Assert.Contains("crash caught    in part: no memory, the last messages survive the reboot" + (older ? "; 1 thing" : ", the last events survive the reboot; 1 thing"), verdict, StringComparison.Ordinal);
        Assert.Contains("missing         host watch: no watch service is looking at this guest", verdict, StringComparison.Ordinal);

        (await guest.Guest.RunAsync("rmmod pvpanic_pci && rmmod qemu_fw_cfg && umount /sys/fs/pstore && echo 0 >/proc/sys/kernel/panic")).EnsureSuccess();
        (exitCode, checks) = await CheckAsync(guest);
        Assert.Equal(1, exitCode);
        Assert.Equal(["panic-timeout", "pstore", "pvpanic", "vmcoreinfo"], Missing(checks));
        Assert.Equal("modprobe pvpanic-pci", checks["pvpanic"]["fix"]!.GetValue<string>().Split(';')[0]);
        foreach (string check in Missing(checks))
        {
            // What it says to type, mends it.
            string fix = checks[check]["fix"]!.GetValue<string>().Split(';')[0];
            (await guest.Guest.RunAsync(fix)).EnsureSuccess();
        }
        Assert.Empty(Missing((await CheckAsync(guest)).Checks));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_bare_guest_is_told_what_it_lacks(bool older)
    {
        await using Guest guest = await Guest.StartAsync(await AgentGuest.OptionsAsync(
            new GuestOptions { Kernel = older ? GuestKernel.Linux61 : GuestKernel.Linux612, CrashDevices = false, Name = "bare" }, configuration: ""));
        CommandResult text = await guest.RunAsync("vsockpair-agent check");
        output.WriteLine(text.Text);
        (int exitCode, Dictionary<string, JsonNode> checks) = await CheckAsync(AgentGuest.Attach(guest, 2));
        Assert.Equal((1, 1), (text.ExitCode, exitCode));
        string[] expected = ["collector", "panic-on-oops", "persistent-ring", "pstore", "pvpanic", "vmcoreinfo"];
        Assert.Equal(expected.Where(c => !older || c != "persistent-ring"), Missing(checks));
        Assert.Contains("-device pvpanic-pci", checks["pvpanic"]["fix"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Contains("-device vmcoreinfo", checks["vmcoreinfo"]["fix"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.StartsWith("MISSING  pvpanic", text.Text, StringComparison.Ordinal);
    }

    private static string[] Missing(Dictionary<string, JsonNode> checks) => [.. checks.Where(c => c.Value["ok"]?.GetValue<bool>() == false).Select(c => c.Key).Order(StringComparer.Ordinal)];

    private static async Task<(int ExitCode, Dictionary<string, JsonNode> Checks)> CheckAsync(AgentGuest guest)
    {
        CommandResult result = await guest.Guest.RunAsync("vsockpair-agent check --json");
        return (result.ExitCode, JsonNode.Parse(result.Text)!["checks"]!.AsArray().ToDictionary(c => c!["check"]!.GetValue<string>(), c => c!));
    }
}
