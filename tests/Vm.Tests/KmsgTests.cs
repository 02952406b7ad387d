using System.Text;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>The kernel log arrives byte for byte.</summary>
public sealed class KmsgTests(ITestOutputHelper output)
{
    private const int Records = 50_000;

    [Fact]
    public async Task Fifty_thousand_records_of_every_shape_arrive()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions
        {
            Cpus = 2,
            Name = "web1",
            ExtraKernelArguments = "printk.devkmsg=on log_buf_len=32M",
        });
        await lab.WaitForStreamsAsync(guest);
        (await guest.Guest.RunAsync($"kmsg-load {Records}", TimeSpan.FromMinutes(3))).EnsureSuccess();
        byte[] inGuest = (await guest.Guest.RunAsync("kmsg-dump", TimeSpan.FromMinutes(3))).EnsureSuccess().Output;
        await lab.EndAsync(guest);

        StoredBoot boot = lab.Stored("web1").OnlyBoot;
        Dictionary<ulong, string> expected = KmsgText.Split(inGuest).ToDictionary(record => record.Sequence, record => record.Raw);
        IReadOnlyList<KmsgText> stored = boot.KmsgRecords;
        long lost = boot.Losses.Sum("kmsg", "kmsg", "records");
        output.WriteLine($"the guest shows {expected.Count} records, {stored.Count} are stored, {lost} declared lost");

        Assert.True(expected.Count >= Records, $"the guest's own log kept only {expected.Count} records");
        // The guest's log has room for all of them, so nothing may be lost; what its kernel wrote after the dump comes on top.
        Assert.Equal(0, lost);
        ulong last = stored[^1].Sequence;
        Assert.InRange(last, expected.Keys.Max(), ulong.MaxValue);
        Assert.Equal((long)last + 1, stored.Count);
        Assert.Equal(stored.Select(record => record.Sequence).Distinct().Order(), stored.Select(record => record.Sequence));
        foreach (KmsgText record in stored.Where(record => expected.ContainsKey(record.Sequence)))
        {
            Assert.Equal(expected[record.Sequence], record.Raw);
        }
        long loaded = stored.Count(record => record.Raw.Contains(";kmsg-load ", StringComparison.Ordinal));
        Assert.True(loaded >= Records, $"{loaded} of {Records} written records are stored");
        Assert.Contains(stored, record => record.Raw.Contains("first line\\x0asecond line", StringComparison.Ordinal));
        Assert.Contains(stored, record => record.Raw.Contains("\\xff\\xfe\\xc3(", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Overrun_of_the_guests_log_is_counted_to_the_record()
    {
        await using Lab lab = new();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 1, Name = "web1", ExtraKernelArguments = "printk.devkmsg=on log_buf_len=128K" });
        (await guest.Guest.RunAsync("kmsg-load 3000")).EnsureSuccess();
        await lab.Collector.StartAsync();
        await lab.AwaitAsync(
            guest,
            () => lab.Stored("web1").Boots is [var seen] && seen.KmsgRecords.Any(r => r.Raw.Contains("kmsg-load 2999 ", StringComparison.Ordinal)),
            TimeSpan.FromSeconds(30),
            "the last record");
        await lab.EndAsync(guest);

        StoredBoot boot = lab.Stored("web1").OnlyBoot;
        long lost = boot.Losses.Sum("kmsg", "kmsg", "records");
        output.WriteLine($"{boot.KmsgRecords.Count} stored, {lost} lost");
        Assert.True(lost > 1000);
        Assert.Equal((long)boot.KmsgRecords[^1].Sequence + 1, boot.KmsgRecords.Count + lost);
    }

    [Fact]
    public async Task Device_records_keep_their_key_value_lines_and_the_command_shows_them_like_dmesg()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 1, Name = "web1" });
        await lab.AwaitAsync(guest, () => lab.Stored("web1").Boots is [var seen] && seen.KmsgRecords.Count > 100, TimeSpan.FromSeconds(30), "the boot's log");
        (await guest.Guest.RunAsync("printf '<5>evil \\033[2J text\\n' > /dev/kmsg")).EnsureSuccess();
        await lab.AwaitAsync(guest, () => lab.Stored("web1").OnlyBoot.KmsgRecords.Any(r => r.Raw.Contains("evil", StringComparison.Ordinal)), TimeSpan.FromSeconds(10), "the last record");

        Assert.Contains(lab.Stored("web1").OnlyBoot.KmsgRecords, record => record.Raw.Contains("\n SUBSYSTEM=", StringComparison.Ordinal));
        var shown = await lab.Collector.RunAsync("kmsg", "web1");
        Assert.Equal(0, shown.ExitCode);
        Assert.Contains("] Linux version 6.12", shown.Text, StringComparison.Ordinal);
        Assert.Contains("evil \\x1b[2J text", shown.Text, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', shown.Text);
        Assert.DoesNotContain("SUBSYSTEM=", shown.Text, StringComparison.Ordinal);
        Assert.True(Encoding.UTF8.GetByteCount(shown.Text) > 5000);
    }
}
