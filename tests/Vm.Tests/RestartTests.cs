using System.Security.Cryptography;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>A collector that dies, stops or hangs costs only what the ledger says, and never a stored byte.</summary>
public sealed class RestartTests(ITestOutputHelper output)
{
    private const int Kills = 20;

    [Fact]
    public async Task Collector_killed_again_and_again_loses_nothing_silently()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 2, Name = "web1", ExtraKernelArguments = "printk.devkmsg=on" });
        await lab.WaitForStreamsAsync(guest);

        Task load = guest.LoadAsync(seconds: 6 * Kills, 300_000);
        Dictionary<string, byte[]> before = [];
        for (int i = 0; i < Kills; i++)
        {
            await guest.Guest.RunAsync($"echo 'record {i}' > /dev/kmsg");
            await Task.Delay(TimeSpan.FromMilliseconds(1500 + 150 * (i % 7)));
            await lab.Collector.KillAsync();
            Compare(before, Snapshot(lab.Stored("web1")));
            before = Snapshot(lab.Stored("web1"));
            await lab.Collector.StartAsync();
        }
        await load;
        await lab.EndAsync(guest);
        await lab.Collector.StopAsync();

        IReadOnlyList<Account> accounts = await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
        output.Measured($"transport loss of {Kills} kills: {accounts.Sum(account => account.TransportLoss)} events");
        StoredBoot boot = lab.Stored("web1").OnlyBoot;
        CheckKmsg(boot);
        Assert.All(boot.Segments(0), segment => segment.CheckSummary());
        Assert.Equal(
            Enumerable.Range(0, Kills).Select(i => $"record {i}"),
            boot.KmsgRecords.Where(r => r.Raw.Contains(";record ", StringComparison.Ordinal)).Select(r => r.Raw.Split(';')[1].TrimEnd('\n')));
    }

    [Fact]
    public Task Orderly_restart_loses_nothing_that_the_default_ring_can_hold() => Account.UntilLosslessAsync(output, RestartInOrderAsync);

    private async Task<IReadOnlyList<Account>> RestartInOrderAsync()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 4, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);

        Task load = guest.LoadAsync(seconds: 15, 250_000);
        await Task.Delay(TimeSpan.FromSeconds(5));
        Assert.Equal(0, await lab.Collector.StopAsync());
        await Task.Delay(TimeSpan.FromSeconds(2));
        await lab.Collector.StartAsync();
        await load;
        await lab.EndAsync(guest);

        output.WriteLine(lab.Collector.Output);
        output.WriteLine(await guest.AgentLogAsync());
        return await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
    }

    [Fact]
    public async Task Stopped_collector_never_blocks_the_guest()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 2, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);

        const string Work = "s=$(cut -d ' ' -f 1 /proc/uptime); i=0; while [ $i -lt 3000 ]; do echo $i > /tmp/x; i=$((i+1)); done; "
            + "e=$(cut -d ' ' -f 1 /proc/uptime); echo \"$s $e\"";
        double alone = await SecondsAsync(guest, Work);

        TimeSpan pause = Soak.Choose(TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(60));
        Task load = guest.LoadAsync(seconds: pause.TotalSeconds + 10, 1_000_000);
        await Task.Delay(TimeSpan.FromSeconds(3));
        double loaded = await SecondsAsync(guest, Work);
        lab.Collector.Signal(Signals.Stop);
        await Task.Delay(TimeSpan.FromSeconds(4));
        double stopped = await SecondsAsync(guest, Work);
        await Task.Delay(pause - TimeSpan.FromSeconds(4));
        lab.Collector.Signal(Signals.Continue);
        await load;
        await lab.EndAsync(guest);

        output.Measured($"the same work takes {alone:0.00} s alone, {loaded:0.00} s under load, {stopped:0.00} s under load with the collector stopped");
        Assert.True(stopped < 2 * loaded + 0.5, "the guest's work slowed down while the collector was stopped");
        IReadOnlyList<Account> accounts = await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
        Assert.True(accounts.Sum(account => account.RingLoss) > 0, "a stop of this length must overrun the ring, or the test shows nothing");
    }

    private static async Task<double> SecondsAsync(AgentGuest guest, string work)
    {
        string[] times = (await guest.Guest.RunAsync(work)).EnsureSuccess().Text.Trim().Split(' ');
        return double.Parse(times[1], null) - double.Parse(times[0], null);
    }

    private static void CheckKmsg(StoredBoot boot)
    {
        IReadOnlyList<KmsgText> records = boot.KmsgRecords;
        ulong[] sequences = [.. records.Select(record => record.Sequence)];
        Assert.Equal(sequences.Distinct().Order(), sequences);
    }

    /// <summary>Closed files by path with their hash; open ones with all their bytes.</summary>
    private static Dictionary<string, byte[]> Snapshot(StoredGuest guest) =>
        Directory.EnumerateFiles(guest.Folder, "*", SearchOption.AllDirectories)
            .Select(path => path.EndsWith(".pages.zst", StringComparison.Ordinal) ? path[..^".zst".Length] : path).Distinct(StringComparer.Ordinal)
            .Where(path => path.EndsWith(".pages", StringComparison.Ordinal) || path.EndsWith(".kmsg", StringComparison.Ordinal))
            .ToDictionary(path => path, path => File.Exists(path + ".sum") ? SHA256.HashData(Content(path)) : Content(path));

    private static byte[] Content(string path) => path.EndsWith(".pages", StringComparison.Ordinal) ? new StoredSegment(path).Read() : File.ReadAllBytes(path);

    /// <summary>A closed file is the same; an open one still begins with what it held, cut to whole slots.</summary>
    private static void Compare(Dictionary<string, byte[]> before, Dictionary<string, byte[]> after)
    {
        foreach ((string path, byte[] old) in before)
        {
            Assert.True(after.TryGetValue(path, out byte[]? now), $"{path} vanished");
            if (old.Length == SHA256.HashSizeInBytes)
            {
                Assert.True(old.AsSpan().SequenceEqual(now), $"{path} was closed and has changed");
                continue;
            }
            byte[] bytes = Content(path);
            int slot = path.EndsWith(".pages", StringComparison.Ordinal) ? new StoredSegment(path).SubBufferBytes : 1;
            int kept = Math.Min(old.Length / slot * slot, bytes.Length);
            Assert.True(old.AsSpan(0, kept).SequenceEqual(bytes.AsSpan(0, kept)), $"{path}: a stored byte has changed");
            Assert.True(slot == 1 || bytes.Length >= kept, $"{path} lost whole slots");
        }
    }
}
