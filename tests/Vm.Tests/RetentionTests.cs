using System.Globalization;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>Each guest stays within its quotas, and what had to go is in its ledger.</summary>
public sealed class RetentionTests(ITestOutputHelper output)
{
    private const long SegmentBytes = 1 << 20;
    private const long TraceQuota = 16 << 20;

    [Fact]
    public async Task Flood_keeps_within_a_segment_of_its_quota_and_never_evicts_the_log()
    {
        await using Lab lab = new(Lab.AmpleRates + "[Store]\nSegmentBytes=1M\nTraceQuota=16M\nKmsgQuota=8M\n");
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 2, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);
        int logBefore = lab.Stored("web1").OnlyBoot.KmsgRecords.Count;

        long highest = 0;
        Task load = guest.LoadAsync(Soak.Choose(60, 300), 1_500_000);
        while (!load.IsCompleted)
        {
            highest = Math.Max(highest, AllocatedBytes(lab.Stored("web1").OnlyBoot));
            await Task.WhenAny(load, Task.Delay(250));
        }
        await load;
        await lab.EndAsync(guest);

        output.Measured($"most trace held: {highest} of {TraceQuota}");
        IReadOnlyList<Account> accounts = await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
        Assert.True(accounts.Sum(account => account.Removed) > 0, "the flood was too small to make retention work");
        Assert.InRange(highest, TraceQuota / 2, TraceQuota + SegmentBytes);
        Assert.True(lab.Stored("web1").OnlyBoot.KmsgRecords.Count >= logBefore);
        Assert.Equal(0ul, lab.Stored("web1").OnlyBoot.KmsgRecords[0].Sequence);
        for (int cpu = 0; cpu < guest.Cpus; cpu++)
        {
            Assert.All(
                lab.Stored("web1").Removed(lab.Stored("web1").OnlyBoot, string.Create(CultureInfo.InvariantCulture, $"cpu{cpu}")),
                line => Assert.True(line["first"] is not null && line["last"] is not null && line["bytes"] is not null, line.ToJsonString()));
        }
    }

    /// <summary>What the segments take on the disk in whichever form, and their sidecars: blocks, as the quota counts them.</summary>
    private static long AllocatedBytes(StoredBoot boot)
    {
        long blocks = 0;
        foreach (string file in Directory.EnumerateFiles(Path.Combine(boot.Folder, "trace"), "*.pages*", SearchOption.AllDirectories))
        {
            blocks += DiskUsage.Bytes(file);
        }
        return blocks;
    }
}
