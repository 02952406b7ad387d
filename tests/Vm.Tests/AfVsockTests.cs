using System.Diagnostics;
using System.Runtime.CompilerServices;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>The two programs over real AF_VSOCK: loopback inside one guest, and the production path through vhost_vsock.</summary>
public sealed class AfVsockTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Agent_and_collector_in_one_guest_speak_over_loopback()
    {
        await using AgentGuest guest = await AgentGuest.StartAsync(
            new GuestOptions { Name = "web1", Cpus = 2, MemoryMiB = 1024, Files = await CollectorInGuest.FilesAsync(), InitScript = CollectorInGuest.Start },
            "[Collector]\nAddress=1:829\n");
        await guest.WaitForSessionAsync();
        await guest.LoadAsync(seconds: 5, 300_000);
        await guest.StopAgentAsync();
        await CheckAsync(guest, guest.Guest, "cid-1");

        // The same with a socket that was handed over: it takes the place of the one in the configuration.
        (await guest.Guest.RunAsync("rm /run/agent.log; " + CollectorInGuest.StartAsSocketUnit)).EnsureSuccess();
        await guest.StartAgentAsync();
        await guest.WaitForSessionAsync();
        string log = (await guest.Guest.RunAsync("cat /run/collector.log")).Text;
        Assert.Contains("Listening on vsock (socket unit, descriptor 3)", log, StringComparison.Ordinal);
        Assert.DoesNotContain("vsock::830", log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Guest_with_a_cid_of_its_own_lands_under_it_on_the_host()
    {
        // Symbols and types are megabytes to hash and to send on a doubly emulated CPU; other tests carry them.
        const string WithoutLargeMetadata = "mount -t tmpfs none /sys/kernel/btf; mount --bind /dev/null /proc/kallsyms";
        GuestOptions inner = await AgentGuest.OptionsAsync(
            new GuestOptions { Name = "inner", Cpus = 1, MemoryMiB = 256, Cid = 42, BootTimeout = TimeSpan.FromMinutes(6), InitScript = WithoutLargeMetadata }, "");
        long start = Stopwatch.GetTimestamp();
        await using NestedRig rig = await NestedRig.StartAsync(
            new GuestOptions { Name = "outer", MemoryMiB = 3072, Files = await CollectorInGuest.FilesAsync() },
            inner,
            async outer => (await outer.RunAsync(CollectorInGuest.Start)).EnsureSuccess());
        await using AgentGuest guest = AgentGuest.Attach(rig.Inner, cpus: 1);
        await guest.WaitForSessionAsync(TimeSpan.FromMinutes(3));
        output.Measured($"the outer guest booted in {rig.Outer.BootTime.TotalSeconds:0} s, the inner one in {rig.Inner.BootTime.TotalSeconds:0} s; "
            + $"the agent's session was there after {Stopwatch.GetElapsedTime(start).TotalSeconds:0} s");
        await guest.LoadAsync(seconds: 5, 50_000);
        await guest.StopAgentAsync();
        await CheckAsync(guest, rig.Outer, "cid-42");
    }

    private async Task CheckAsync(AgentGuest guest, Guest host, string name, [CallerMemberName] string test = "")
    {
        (await host.RunAsync(CollectorInGuest.Stop)).EnsureSuccess();
        output.WriteLine((await host.RunAsync("cat /run/collector.log")).Text);
        output.WriteLine(await guest.AgentLogAsync());
        string store = Path.Combine(Directory.CreateTempSubdirectory("vsockpair-store-").FullName, "store");
        try
        {
            await CollectorInGuest.FetchStoreAsync(host, store);
            Assert.Equal([name], Directory.GetDirectories(Path.Combine(store, "guests")).Select(Path.GetFileName)!);
            StoredGuest stored = new(store, name);
            Assert.NotEmpty(stored.OnlyBoot.KmsgRecords);
            await Account.CheckAllAsync(guest, stored, output, test);
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(store)!, recursive: true);
        }
    }
}
