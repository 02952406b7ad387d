using VsockPair.Cases;
using VsockPair.Listening;
using VsockPair.Storage;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;
using StoredGuest = VsockPair.Commands.StoredGuest;

namespace VsockPair.Vm.Tests;

/// <summary>The real crash service and a real QEMU: nobody types anything, and in the end there is a case.</summary>
public sealed class WatchTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_panic_becomes_a_closed_case_and_the_guest_reboots_by_itself()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        await lab.AddWatch().StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(lab.WithQmp(new GuestOptions { Cpus = 2, Name = "web1", Ramoops = true }));
        await lab.WaitForStreamsAsync(guest);
        string store = lab.Collector.Store;
        IdentityRecord identity = DurableFile.TryRead(Path.Combine(StorePaths.Identity(store), "web1.json"), IdentityJson.Default.IdentityRecord)!;
        Assert.All(identity.Host!, c => Assert.True(c.Ok, c.Text));
        Assert.InRange(identity.Started!.Value, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow);
        string dead = StoredGuest.Open(store, "web1").NewestBoot!.Name;

        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        CaseEvent released = CaseCheck.Cases(store).Single();
        output.WriteLine($"{released}");
        Assert.Equal((CaseKinds.Panic, "continue", dead, 0L), (released.Kind, released.Action, released.Boot, released.Repeats));
        Assert.Equal(("auto", MemoryTaken.Full, CaseFormats.Kdump, null), (released.Memory!.Policy, released.Memory.Taken, released.Memory.Format, released.Memory.Reason));
        Assert.InRange(released.Memory.PausedSeconds, 0.1, 30);

        await lab.AwaitAsync(guest, () => CaseCheck.Cases(store).Single().Announced is not null, TimeSpan.FromSeconds(120), "the case to be closed");
        string folder = CasePaths.Folder(store, released.Id);
        CaseManifest manifest = CaseCheck.ManifestOf(store, released);
        CaseCheck.Show(output, folder, manifest);
        Assert.NotNull(manifest.Closed);
        Assert.Contains("Kernel panic - not syncing: sysrq triggered crash", File.ReadAllText(Path.Combine(folder, CasePaths.Dmesg)), StringComparison.Ordinal);
        byte[] record = await guest.Guest.ReadFileAsync("/sys/fs/pstore/dmesg-ramoops-0");
        Assert.Equal(record, File.ReadAllBytes(Directory.GetFiles(Path.Combine(folder, CasePaths.Pstore), "dmesg-ramoops-0-*").Single()));
        Assert.Contains(manifest.Parts, p => p is { Path: CasePaths.Vmcore, Complete: true });
    }

    [Fact]
    public async Task A_small_memory_is_enough_for_the_log_and_a_guest_that_panics_while_nobody_watches_is_found()
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        await lab.AddWatch("[Store]\nKeepFree=0%\n[Watch]\nMemory=mini\nDumpsPerHour=10\nDumpsPerDay=10\n").StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(lab.WithQmp(new GuestOptions { Cpus = 2, MemoryMiB = 16384, Name = "web1" }));
        await lab.WaitForStreamsAsync(guest);
        await lab.Watch.KillAsync();

        await guest.Guest.PanicAsync();
        await guest.Guest.Qmp.WaitForEventAsync("STOP", TimeSpan.FromSeconds(20));
        DateTimeOffset start = DateTimeOffset.UtcNow;
        await lab.Watch.StartAsync();
        await guest.Guest.WaitForRebootAsync();
        string store = lab.Collector.Store;
        CaseEvent released = CaseCheck.Cases(store).Single();
        output.WriteLine($"{released}");
        Assert.InRange(released.Released!.Value - start, TimeSpan.Zero, TimeSpan.FromSeconds(15));
        Assert.Equal((MemoryTaken.Mini, CaseFormats.Elf), (released.Memory!.Taken, released.Memory.Format));
        Assert.InRange(released.Memory.PausedSeconds, 0, 2);
        FileInfo vmcore = new(Path.Combine(CasePaths.Folder(store, released.Id), CasePaths.Vmcore));
        output.WriteLine($"vmcore: {vmcore.Length} bytes\n{lab.Watch.Output}");
        Assert.InRange(vmcore.Length, 100_000, 64 << 20);
        string dmesg = Path.Combine(CasePaths.Folder(store, released.Id), CasePaths.Dmesg);
        await lab.AwaitAsync(guest, () => File.Exists(dmesg), TimeSpan.FromSeconds(60), "the log");
        Assert.Contains("Kernel panic - not syncing: sysrq triggered crash", File.ReadAllText(dmesg), StringComparison.Ordinal);
        Assert.Equal(0, await lab.Watch.StopAsync());
    }
}
