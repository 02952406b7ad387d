using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>The main job: every event that a real guest kernel traces is on the host's disk, or declared lost.</summary>
public sealed class TraceTests(ITestOutputHelper output)
{
    private const long RatePerVcpu = 2_000_000;

    [Theory]
    [InlineData(GuestKernel.Linux612, 65536)]
    [InlineData(GuestKernel.Linux61, 4096)]
    public Task Stores_every_event_of_four_loaded_vcpus(GuestKernel kernel, int subBufferBytes) =>
        Account.UntilLosslessAsync(output, () => StoreEveryEventAsync(kernel, subBufferBytes));

    private async Task<IReadOnlyList<Account>> StoreEveryEventAsync(GuestKernel kernel, int subBufferBytes)
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 4, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);

        await guest.LoadAsync(seconds: 20, RatePerVcpu);
        await lab.EndAsync(guest);
        Assert.Equal(0, await lab.Collector.StopAsync());
        output.WriteLine(await guest.AgentLogAsync());

        StoredBoot boot = lab.Stored("web1").OnlyBoot;
        Assert.Equal(subBufferBytes, boot.Record["sub_buffer_bytes"]!.GetValue<int>());
        IReadOnlyList<Account> accounts = await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
        foreach (Account account in accounts)
        {
            Assert.Equal(0, account.Removed);
            IReadOnlyList<StoredSegment> segments = boot.Segments(account.Cpu);
            Assert.All(segments, segment => Assert.True(segment.IsClosed, $"{segment.Path} is not closed after a clean stop"));
            Assert.All(segments, segment => segment.CheckSummary());
            long bytes = segments.Sum(segment => segment.Read().LongLength);
            output.WriteLine($"cpu{account.Cpu}: {bytes} bytes in {segments.Count} segments");
            Assert.True(bytes > 0.8 * 20 * RatePerVcpu, $"the load produced only {bytes} bytes on cpu{account.Cpu}");
        }
        Assert.Equal(accounts.Select(account => account.Stored), await TraceCmd.CountEventsAsync(boot, guest.Cpus));
        return accounts;
    }

    [Theory]
    [InlineData(GuestKernel.Linux612, "do not pass, sends are capped at 28672 bytes")]
    [InlineData(GuestKernel.Linux61, "64 KiB packets pass")]
    public async Task Agent_says_what_its_probe_of_large_packets_found(GuestKernel kernel, string found)
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 1, Name = "probe" });
        await lab.WaitForStreamsAsync(guest);
        await guest.WaitForSessionAsync();
        string line = (await guest.AgentLogAsync()).Split('\n').Single(text => text.Contains("64 KiB packets", StringComparison.Ordinal));
        output.WriteLine(line);
        Assert.Contains(found, line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Keeps_three_guests_apart()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest[] guests = await Task.WhenAll(
            lab.StartGuestAsync(new GuestOptions { Name = "web1", Cpus = 2, MemoryMiB = 384 }),
            lab.StartGuestAsync(new GuestOptions { Name = "web2", Cpus = 1, MemoryMiB = 384 }),
            lab.StartGuestAsync(new GuestOptions { Name = "old", Cpus = 2, MemoryMiB = 384, Kernel = GuestKernel.Linux61 }));
        foreach (AgentGuest guest in guests)
        {
            await lab.WaitForStreamsAsync(guest);
        }
        await Task.WhenAll(guests.Select(guest => guest.LoadAsync(seconds: 8, 300_000)));
        await Task.WhenAll(guests.Select(guest => guest.Guest.RunAsync($"echo '<5>I am {guest.Name}' > /dev/kmsg")));
        foreach (AgentGuest guest in guests)
        {
            await lab.EndAsync(guest);
        }

        foreach (AgentGuest guest in guests)
        {
            StoredBoot boot = lab.Stored(guest.Name).OnlyBoot;
            Assert.Equal((await guest.Guest.RunAsync("cat /proc/sys/kernel/random/boot_id")).Text.Trim(), boot.BootId);
            Assert.Equal((await guest.Guest.RunAsync("uname -r")).Text.Trim(), boot.Record["kernel"]!.GetValue<string>());
            await Account.CheckAllAsync(guest, lab.Stored(guest.Name), output);
            Assert.Equal([$"I am {guest.Name}"], boot.KmsgRecords.Where(r => r.Raw.Contains(";I am ", StringComparison.Ordinal)).Select(r => r.Raw.Split(';')[1].Split('\n')[0]));
        }
        Assert.Equal(["old", "web1", "web2"], Directory.GetDirectories(Path.Combine(lab.Collector.Store, "guests")).Select(Path.GetFileName).Order(StringComparer.Ordinal)!);
    }

    [Fact]
    public async Task Gives_a_new_vcpu_its_stream_and_ends_that_of_a_removed_one()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Name = "plug", Cpus = 3, InitScript = "echo 0 > /sys/devices/system/cpu/cpu2/online" });
        await lab.AwaitAsync(guest, () => lab.Stored("plug").Boots is [var boot] && boot.Segments(1).Count > 0, TimeSpan.FromSeconds(60), "the stream of cpu1");
        Assert.Empty(lab.Stored("plug").OnlyBoot.Segments(2));

        (await guest.Guest.RunAsync("echo 1 > /sys/devices/system/cpu/cpu2/online")).EnsureSuccess();
        await lab.AwaitAsync(guest, () => lab.Stored("plug").OnlyBoot.Segments(2).Count > 0, TimeSpan.FromSeconds(30), "the stream of the new cpu2");
        await guest.LoadAsync(seconds: 3, 300_000);
        (await guest.Guest.RunAsync("echo 0 > /sys/devices/system/cpu/cpu1/online")).EnsureSuccess();
        await Task.Delay(TimeSpan.FromSeconds(12));
        await lab.EndAsync(guest);
        await Account.CheckAllAsync(guest, lab.Stored("plug"), output);
    }
}
