using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>Crash records that survive a reboot reach the host once, byte for byte.</summary>
public sealed class PstoreTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Record_of_a_panic_is_stored_once_over_reconnects_and_later_boots()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Cpus = 2, Name = "web1", Ramoops = true });
        await lab.WaitForStreamsAsync(guest);

        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        await WaitForBootsAsync(lab, guest, 2);
        byte[] record = await guest.Guest.ReadFileAsync("/sys/fs/pstore/dmesg-ramoops-0");
        await lab.AwaitAsync(guest, () => Records(lab).Any(), TimeSpan.FromSeconds(30), "the crash record");

        for (int i = 0; i < 3; i++)
        {
            await lab.Collector.KillAsync();
            await lab.Collector.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(2));
        }
        for (int boots = 3; boots <= 4; boots++)
        {
            await guest.Guest.RebootAsync();
            Assert.Equal(record, await guest.Guest.ReadFileAsync("/sys/fs/pstore/dmesg-ramoops-0"));
            await WaitForBootsAsync(lab, guest, boots);
            await lab.WaitForStreamsAsync(guest);
        }
        await lab.EndAsync(guest);

        foreach (StoredBoot boot in lab.Stored("web1").Boots)
        {
            output.WriteLine($"{boot.BootId}: {boot.KmsgRecords.Count} log records, pstore: {string.Join(' ', boot.PstoreFiles.Select(Path.GetFileName))}");
        }
        string only = Assert.Single(Records(lab), path => Path.GetFileName(path).StartsWith("dmesg-ramoops-0-", StringComparison.Ordinal));
        Assert.Equal(record, await File.ReadAllBytesAsync(only));
        Assert.Contains(lab.Stored("web1").Boots[1].Folder, only, StringComparison.Ordinal);
        Assert.Equal(4, lab.Stored("web1").Boots.Count);
    }

    private static IEnumerable<string> Records(Lab lab) => lab.Stored("web1").Boots.SelectMany(boot => boot.PstoreFiles);

    private static Task WaitForBootsAsync(Lab lab, AgentGuest guest, int count) => lab.AwaitAsync(
        guest, () => lab.Stored(guest.Name).Boots.Count == count, TimeSpan.FromSeconds(60), $"boot number {count} in the store");
}
