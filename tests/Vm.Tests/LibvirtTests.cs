using VsockPair.Cases;
using VsockPair.Listening;
using VsockPair.Storage;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;
using StoredGuest = VsockPair.Commands.StoredGuest;

namespace VsockPair.Vm.Tests;

/// <summary>Domains of a real libvirtd, whose QEMU runs as a user of its own: what becomes of a crash, by what on_crash says.</summary>
public sealed class LibvirtTests(ITestOutputHelper output)
{
    private const string NoBrake = "[Store]\nKeepFree=0%\n[Watch]\nDumpsPerHour=10\nDumpsPerDay=10\n";

    [Fact]
    public async Task A_domain_that_is_preserved_becomes_a_complete_case_and_goes_on()
    {
        await using LibvirtHost libvirt = await LibvirtHost.StartAsync();
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        await lab.AddWatch(NoBrake, libvirt).StartAsync();
        AgentGuest guest = await lab.StartDomainAsync(libvirt, new GuestOptions { Cpus = 2, Name = "web1", Ramoops = true }, "preserve");
        await lab.WaitForStreamsAsync(guest);
        string store = lab.Collector.Store;
        IdentityRecord identity = Identity(store)!;
        Assert.All(identity.Host!, c => Assert.True(c.Ok, c.Text));
        Assert.Equal((await libvirt.VirshAsync("domuuid", "web1")).Trim(), identity.Uuid.ToString());
        Assert.Equal("libvirt:qemu:///system#web1", identity.Source);
        Assert.InRange(identity.Started!.Value, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow);
        string dead = StoredGuest.Open(store, "web1").NewestBoot!.Name;

        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        CaseEvent released = CaseCheck.Cases(store).Single();
        output.WriteLine($"{released}");
        Assert.Equal((CaseKinds.Panic, "continue", dead), (released.Kind, released.Action, released.Boot));
        Assert.Equal(("auto", MemoryTaken.Full, null), (released.Memory!.Policy, released.Memory.Taken, released.Memory.Reason));
        Assert.InRange(released.Memory.PausedSeconds, 0.1, 60);

        CaseManifest manifest = await ClosedAsync(lab, guest, released.Id);
        string folder = CasePaths.Folder(store, released.Id);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, CasePaths.Vmcore)));
        Assert.Contains("Kernel panic - not syncing: sysrq triggered crash", File.ReadAllText(Path.Combine(folder, CasePaths.Dmesg)), StringComparison.Ordinal);
        byte[] record = await guest.Guest.ReadFileAsync("/sys/fs/pstore/dmesg-ramoops-0");
        Assert.Equal(record, File.ReadAllBytes(Directory.GetFiles(Path.Combine(folder, CasePaths.Pstore), "dmesg-ramoops-0-*").Single()));
        Assert.Contains(manifest.Parts, p => p is { Path: CasePaths.Vmcore, Complete: true });
        Assert.Equal(0, await lab.Watch.StopAsync());
    }

    [Fact]
    [Trait("Category", "Soak")]
    public async Task What_libvirt_dumps_itself_becomes_the_memory_of_the_case()
    {
        await using LibvirtHost libvirt = await LibvirtHost.StartAsync();
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        await lab.AddWatch(NoBrake, libvirt).StartAsync();
        AgentGuest guest = await lab.StartDomainAsync(libvirt, new GuestOptions { Cpus = 2, Name = "web1" }, "coredump-restart");
        await lab.WaitForStreamsAsync(guest);
        string store = lab.Collector.Store;
        CheckRecord action = Identity(store)!.Host!.Single(c => c.Check == HostChecks.PanicAction);
        Assert.False(action.Ok);

        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        await lab.AwaitAsync(guest, () => CaseCheck.Cases(store) is [{ Memory: not null }], TimeSpan.FromSeconds(60), "the memory");
        CaseEvent crash = CaseCheck.Cases(store).Single();
        output.WriteLine($"{crash}");
        Assert.Equal((MemoryTaken.Full, CaseFormats.Elf, null, null), (crash.Memory!.Taken, crash.Memory.Format, crash.Memory.Reason, crash.Action));
        Assert.Empty(libvirt.AutomaticDumps);
        CaseManifest manifest = await ClosedAsync(lab, guest, crash.Id);
        string folder = CasePaths.Folder(store, crash.Id);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, CasePaths.Vmcore)));
        Assert.Contains("Kernel panic - not syncing: sysrq triggered crash", File.ReadAllText(Path.Combine(folder, CasePaths.Dmesg)), StringComparison.Ordinal);
        Assert.Contains(manifest.Parts, p => p is { Path: CasePaths.Vmcore, Complete: true });
    }

    [Fact]
    [Trait("Category", "Soak")]
    public async Task What_libvirt_throws_away_is_a_case_that_says_so_and_the_printed_command_mends_it()
    {
        await using LibvirtHost libvirt = await LibvirtHost.StartAsync();
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        await lab.AddWatch(NoBrake + "Memory=mini\n", libvirt).StartAsync();
        AgentGuest guest = await lab.StartDomainAsync(libvirt, new GuestOptions { Cpus = 2, Name = "web1" }, "restart");
        await lab.WaitForStreamsAsync(guest);
        string store = lab.Collector.Store;

        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        await lab.AwaitAsync(guest, () => CaseCheck.Cases(store) is [{ Memory: not null }], TimeSpan.FromSeconds(60), "the case");
        CaseEvent restarted = CaseCheck.Cases(store).Single();
        output.WriteLine($"{restarted}");
        Assert.Equal((MemoryTaken.None, null), (restarted.Memory!.Taken, restarted.Action));
        Assert.Contains("on_crash of this domain is restart", restarted.Memory.Reason, StringComparison.Ordinal);
        await ClosedAsync(lab, guest, restarted.Id);

        string fix = Identity(store)!.Host!.Single(c => c.Check == HostChecks.PanicAction).Fix;
        await libvirt.VirshAsync(fix.Split(' ')[1..]);
        await lab.AwaitAsync(guest, () => Identity(store)!.Host!.Single(c => c.Check == HostChecks.PanicAction).Ok == true, TimeSpan.FromSeconds(30), "the check to pass");
        await lab.WaitForStreamsAsync(guest);
        await guest.Guest.PanicAsync();
        await guest.Guest.WaitForRebootAsync();
        CaseEvent kept = CaseCheck.Cases(store).MaxBy(c => c.Time)!;
        output.WriteLine($"{kept}");
        Assert.Equal((MemoryTaken.Mini, "continue"), (kept.Memory!.Taken, kept.Action));
        await ClosedAsync(lab, guest, kept.Id);
        Assert.Contains("Kernel panic - not syncing: sysrq triggered crash", File.ReadAllText(Path.Combine(CasePaths.Folder(store, kept.Id), CasePaths.Dmesg)), StringComparison.Ordinal);

        await libvirt.VirshAsync("set-lifecycle-action", "web1", "crash", "destroy", "--live");
        await lab.AwaitAsync(guest, () => Identity(store)!.Host!.Single(c => c.Check == HostChecks.PanicAction).Text.Contains("destroy", StringComparison.Ordinal), TimeSpan.FromSeconds(30), "the check to fail again");
        await guest.Guest.PanicAsync();
        await lab.AwaitAsync(guest, () => CaseCheck.Cases(store).Count == 3 && CaseCheck.Cases(store).All(c => c.Memory is not null), TimeSpan.FromSeconds(60), "the third case");
        CaseEvent destroyed = CaseCheck.Cases(store).MaxBy(c => c.Time)!;
        output.WriteLine($"{destroyed}");
        Assert.Equal((CaseKinds.Panic, MemoryTaken.None, null), (destroyed.Kind, destroyed.Memory!.Taken, destroyed.Action));
        Assert.Contains("on_crash of this domain is destroy", destroyed.Memory.Reason, StringComparison.Ordinal);
        await lab.AwaitAsync(guest, () => Identity(store) is null, TimeSpan.FromSeconds(20), "its identity to go");
    }

    private async Task<CaseManifest> ClosedAsync(Lab lab, AgentGuest guest, string id)
    {
        string store = lab.Collector.Store;
        await lab.AwaitAsync(guest, () => CaseCheck.Cases(store).Single(c => c.Id == id).Announced is not null, TimeSpan.FromSeconds(120), "the case to be closed");
        CaseManifest manifest = CaseCheck.ManifestOf(store, CaseCheck.Cases(store).Single(c => c.Id == id));
        CaseCheck.Show(output, CasePaths.Folder(store, id), manifest);
        Assert.NotNull(manifest.Closed);
        return manifest;
    }

    private static IdentityRecord? Identity(string store) =>
        DurableFile.TryRead(Path.Combine(StorePaths.Identity(store), "web1.json"), IdentityJson.Default.IdentityRecord);
}
