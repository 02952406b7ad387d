using VsockPair.Cases;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>Whatever a kernel dies of, on whatever machine: the crash service makes a complete case of it, and the guest comes back by itself.</summary>
public sealed class PanicTests(ITestOutputHelper output)
{
    private static readonly int Rounds = Soak.Choose(inTest: 1, inSoak: 10);

    [Theory]
    [InlineData(GuestKernel.Linux612, 4, true, "sysrq")]
    [InlineData(GuestKernel.Linux61, 1, false, "out of memory")]
    [InlineData(GuestKernel.Linux61, 4, true, "NMI")]
    public async Task A_panic_becomes_a_complete_case(GuestKernel kernel, int cpus, bool pci, string cause)
    {
        for (int round = 0; round < Rounds; round++)
        {
            await PanicAsync(kernel, cpus, pci, cause);
        }
    }

    [Fact]
    public async Task Without_an_agent_there_are_still_the_log_the_memory_and_the_kernels_name()
    {
        await using Lab lab = new();
        await lab.AddWatch("[Store]\nKeepFree=0%\n[Watch]\nWaitForBoot=1s\n").StartAsync();
        await using Guest guest = await Guest.StartAsync(lab.WithQmp(new GuestOptions { Name = "web1" }));
        string buildId = await CaseCheck.BuildIdAsync(guest);
        string store = lab.Collector.Store;
        await Eventually.TrueAsync(() => Directory.Exists(StorePaths.Identity(store)) && Directory.GetFiles(StorePaths.Identity(store)).Length == 1, TimeSpan.FromSeconds(20), "its machine to be watched", guest);
        await guest.PanicAsync();
        await guest.WaitForRebootAsync();
        await Eventually.TrueAsync(() => CaseCheck.Cases(store) is [{ Announced: not null }], TimeSpan.FromSeconds(60), "the case to be closed", guest);
        CaseEvent happened = CaseCheck.Cases(store).Single();
        string folder = CasePaths.Folder(store, happened.Id);
        CaseManifest manifest = CaseCheck.ManifestOf(store, happened);
        CaseCheck.Show(output, folder, manifest);
        Assert.Equal((buildId, null), (manifest.BuildId, happened.Boot));
        Assert.All((string[])[CasePaths.Dmesg, CasePaths.Registers, CasePaths.Vmcore], name => Assert.Contains(manifest.Parts, p => p.Path == name && p.Complete));
        Assert.Contains("Kernel panic - not syncing: sysrq triggered crash", File.ReadAllText(Path.Combine(folder, CasePaths.Dmesg)), StringComparison.Ordinal);
        Assert.All((string[])[CasePaths.Trace, CasePaths.Kmsg, CasePaths.Pstore, CasePaths.Tasks], name => Assert.Contains(manifest.Missing, m => m.Part == name && m.Reason.Length > 10));
    }

    private async Task PanicAsync(GuestKernel kernel, int cpus, bool pci, string cause)
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        await lab.AddWatch().StartAsync();
        GuestOptions options = new()
        {
            Kernel = kernel, Cpus = cpus, Name = "web1", Ramoops = true, IsaPanicDevice = !pci,
        };
        AgentGuest guest = await lab.StartGuestAsync(lab.WithQmp(options));
        await lab.WaitForStreamsAsync(guest);
        await guest.LoadAsync(seconds: 2, 100_000);
        string buildId = await CaseCheck.BuildIdAsync(guest.Guest);

        (string trigger, string panic) = await TriggerAsync(guest.Guest, cause);
        await guest.Guest.WaitForRebootAsync();
        string store = lab.Collector.Store;
        await lab.AwaitAsync(guest, () => CaseCheck.Cases(store) is [{ Announced: not null }], TimeSpan.FromSeconds(120), "the case to be closed");
        CaseEvent happened = CaseCheck.Cases(store).Single();
        string folder = CasePaths.Folder(store, happened.Id);
        CaseManifest manifest = CaseCheck.ManifestOf(store, happened);
        CaseCheck.Show(output, folder, manifest);

        Assert.Equal((CaseKinds.Panic, "continue", 0L), (happened.Kind, happened.Action, happened.Repeats));
        Assert.Equal(buildId, manifest.BuildId);
        Assert.All(
            (string[])[CasePaths.Dmesg, CasePaths.Tasks, CasePaths.Registers, CasePaths.Kmsg, CasePaths.Trace, CasePaths.Vmcore],
            name => Assert.Contains(manifest.Parts, p => p.Path == name && p.Complete));
        Assert.Contains(panic, File.ReadAllText(Path.Combine(folder, CasePaths.Dmesg)), StringComparison.Ordinal);
        string record = Directory.GetFiles(Path.Combine(folder, CasePaths.Pstore), "dmesg-ramoops-0-*").Single();
        Assert.Contains(panic, File.ReadAllText(record), StringComparison.Ordinal);
        await CaseCheck.TraceReachesAsync(store, happened, folder, trigger, output);
    }

    /// <returns>What the log says of the trigger, and of the panic.</returns>
    private static async Task<(string Trigger, string Panic)> TriggerAsync(Guest guest, string cause)
    {
        switch (cause)
        {
            case "sysrq":
                await guest.PanicAsync();
                return ("sysrq: Trigger a crash", "Kernel panic - not syncing: sysrq triggered crash");
            case "out of memory":
                await guest.PanicAsync("echo 1 > /proc/sys/vm/panic_on_oom; mkdir -p /tmp/fill; mount -t ramfs none /tmp/fill; dd if=/dev/zero of=/tmp/fill/it bs=1M");
                return ("invoked oom-killer", "Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled");
            default:
                await guest.PanicAsync("echo 1 > /proc/sys/kernel/unknown_nmi_panic", () => guest.Qmp.ExecuteAsync("inject-nmi"));
                return ("NMI received for unknown reason", "Kernel panic - not syncing: NMI: Not continuing");
        }
    }
}
