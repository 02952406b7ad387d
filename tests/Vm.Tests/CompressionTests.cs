using System.Text.Json.Nodes;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>What closed segments of a real scheduler recording shrink to on the host's disk.</summary>
public sealed class CompressionTests(ITestOutputHelper output)
{
    /// <summary>Commands that start and end, pipes that hand over, and sleepers: what sched_switch and sched_process_* record on an ordinary server.</summary>
    private const string SchedulerLoad = """
        for n in 1 2; do (while :; do usleep 3000; ls /bin; done) >/dev/null 2>&1 & done
        for n in 1 2; do (dd if=/dev/zero bs=512 | dd bs=512 | dd of=/dev/null bs=512) >/dev/null 2>&1 & done
        (while :; do usleep 500; done) >/dev/null 2>&1 &
        """;

    /// <summary>Most of the test is waiting: in every day's tests one kernel will do.</summary>
    public static TheoryData<GuestKernel> Kernels => Soak.Choose<TheoryData<GuestKernel>>(inTest: new() { GuestKernel.Linux612 }, inSoak: new() { GuestKernel.Linux612, GuestKernel.Linux61 });

    [Theory]
    [MemberData(nameof(Kernels))]
    public async Task A_scheduler_recording_takes_a_third_of_the_disk_at_most_and_is_the_same(GuestKernel kernel)
    {
        await using Lab lab = new(Lab.AmpleRates + "[Store]\nSegmentBytes=4M\nSegmentAge=5s\n");
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Name = "web1" });
        await lab.WaitForStreamsAsync(guest);
        (await guest.Guest.RunAsync(SchedulerLoad)).EnsureSuccess();
        await Task.Delay(TimeSpan.FromSeconds(15));
        await lab.EndAsync(guest);
        StoredBoot boot = lab.Stored("web1").OnlyBoot;
        StoredSegment[] segments = [.. Enumerable.Range(0, guest.Cpus).SelectMany(boot.Segments)];
        await lab.AwaitAsync(guest, () => segments.All(segment => segment.IsClosed), TimeSpan.FromMinutes(1), "every segment to be closed");
        // A minute after it was closed, whichever thread of this busy machine gets a CPU then.
        await lab.AwaitAsync(guest, () => segments.All(segment => segment.IsCompressed), TimeSpan.FromMinutes(3), "every segment to be compressed");

        Assert.All(segments, segment => segment.CheckSummary());
        await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
        long before = segments.Sum(segment => JsonNode.Parse(File.ReadAllText(segment.Path + ".sum"))!["bytes"]!.GetValue<long>());
        long size = segments.Sum(segment => segment.Read().LongLength);
        long after = segments.Sum(segment => DiskUsage.Bytes(segment.CompressedPath));
        output.WriteLine($"{kernel}: {segments.Length} segments, {before} bytes on the disk ({size} with the holes) became {after}: {(double)before / after:F1} times less");
        Assert.True(before >= 1 << 20, $"a load of {before} bytes shows nothing");
        Assert.True(after <= before / 3, $"{before} bytes became {after}");

        CommandOutput guests = await lab.Collector.RunAsync("guests", "web1");
        output.WriteLine(guests.Text);
        Assert.Matches("per day +[0-9.]+ [GM]iB, compressed to ", guests.Text);
        Assert.Matches("history held +[0-9]+[sm].*, until 20", guests.Text);
    }
}
