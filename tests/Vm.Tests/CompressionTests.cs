using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>What closed segments of a real scheduler recording shrink to on the host's disk.</summary>
public sealed class CompressionTests(ITestOutputHelper output)
{
    /// <summary>Commands that start and end, pipes that hand over, and sleepers: what sched_switch and sched_process_* record on an ordinary server.</summary>
    private const string SchedulerLoad = """
        for n in 1 2; do (while :; do usleep 3000; ls /bin >/dev/null; done) >/dev/null 2>&1 & done
        for n in 1 2; do (dd if=/dev/zero bs=512 2>/dev/null | dd bs=512 2>/dev/null | dd of=/dev/null bs=512 2>/dev/null) & done
        (while :; do usleep 500; done) &
        """;

    [Theory]
    [InlineData(GuestKernel.Linux612)]
    [InlineData(GuestKernel.Linux61)]
    public async Task Harvest(GuestKernel kernel)
    {
        await using Lab lab = new(Lab.AmpleRates + "[Store]\nSegmentBytes=8M\n");
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);
        (await guest.Guest.RunAsync(SchedulerLoad)).EnsureSuccess();
        await Task.Delay(TimeSpan.FromSeconds(40));
        StoredBoot boot = lab.Stored("web1").OnlyBoot;
        string target = "/tmp/cx/data/" + kernel;
        Directory.CreateDirectory(target);
        await lab.EndAsync(guest);
        await lab.Collector.StopAsync();
        foreach (string f in Directory.GetFiles(boot.Folder, "*.pages", SearchOption.AllDirectories))
        {
            File.Copy(f, Path.Combine(target, Path.GetFileName(Path.GetDirectoryName(f)) + "-" + Path.GetFileName(f)), true);
            output.WriteLine($"{f} {new FileInfo(f).Length}");
        }
        output.WriteLine(await guest.AgentLogAsync());
    }
}
