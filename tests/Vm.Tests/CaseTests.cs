using System.Diagnostics;
using VsockPair.Cases;
using VsockPair.Storage;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;
using StoredGuest = VsockPair.Commands.StoredGuest;

namespace VsockPair.Vm.Tests;

/// <summary>A real panic becomes a case: the memory, the crash record and the stream of the boot that died, joined.</summary>
public sealed class CaseTests(ITestOutputHelper output)
{
    private const string Trigger = "sysrq: Trigger a crash";
    private const string Panic = "Kernel panic - not syncing: sysrq triggered crash";

    [Theory]
    [InlineData(GuestKernel.Linux612, "kdump-raw-zlib")]
    [InlineData(GuestKernel.Linux61, "elf")]
    public async Task Case_of_a_panic_has_the_log_and_the_trace_to_the_end(GuestKernel kernel, string format)
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Name = "web1", Ramoops = true, PauseOnPanic = true });
        await lab.WaitForStreamsAsync(guest);
        await guest.LoadAsync(seconds: 3, 100_000);
        string store = lab.Collector.Store;
        string dead = StoredGuest.Open(store, "web1").NewestBoot!.Name;

        await guest.Guest.PanicAsync();
        await guest.Guest.Qmp.WaitForEventAsync("STOP", TimeSpan.FromSeconds(20));
        DateTimeOffset crash = DateTimeOffset.UtcNow;
        CaseEvent happened = new()
        {
            Id = CasePaths.Id(crash, "web1", 0), Guest = "web1", Kind = CaseKinds.Panic, Time = crash, Source = "qmp", Boot = dead, Memory = new CaseMemory("full", MemoryTaken.Full, format, null, 1),
        };
        string folder = CasePaths.Folder(store, happened.Id);
        Directory.CreateDirectory(folder);
        DurableFile.ReplaceSynced(CasePaths.Event(folder), happened, CaseJson.Default.CaseEvent);
        File.Move(await StandingGuest.DumpAsync(guest.Guest, format), Path.Combine(folder, CasePaths.Vmcore));
        await guest.Guest.Qmp.ExecuteAsync("cont");

        // At once, before the guest is back.
        Stopwatch watch = Stopwatch.StartNew();
        CaseManifest first = Assemble(store, happened, final: false);
        output.WriteLine($"assembled in {watch.ElapsedMilliseconds} ms: {string.Join(", ", first.Parts.Select(p => $"{p.Path} {p.Bytes} {p.Source}"))}");
        Assert.Null(first.Closed);

        await guest.Guest.WaitForRebootAsync();
        await lab.AwaitAsync(
            guest, () => StoredGuest.Open(store, "web1").Boots is [.., var next] && next.Name != dead && Directory.Exists(StorePaths.Pstore(next.Folder)), TimeSpan.FromSeconds(120), "the crash record");
        byte[] record = await guest.Guest.ReadFileAsync("/sys/fs/pstore/dmesg-ramoops-0");
        await Task.Delay(TimeSpan.FromSeconds(2));
        CaseManifest manifest = Assemble(store, happened, final: true);
        output.WriteLine(File.ReadAllText(Path.Combine(folder, CasePaths.ReadMe)));
        foreach (MissingPart missing in manifest.Missing)
        {
            output.WriteLine($"{missing.Part}: {missing.Reason}");
        }

        Assert.NotNull(manifest.Closed);
        Assert.Equal(await CaseCheck.BuildIdAsync(guest.Guest), manifest.BuildId);
        Assert.All((string[])[CasePaths.Dmesg, CasePaths.Tasks, CasePaths.Registers, CasePaths.Kmsg, CasePaths.Trace, CasePaths.Vmcore], name => Assert.Contains(manifest.Parts, p => p.Path == name && p.Complete));
        Assert.Contains(Panic, File.ReadAllText(Path.Combine(folder, CasePaths.Dmesg)), StringComparison.Ordinal);
        Assert.Equal(record, File.ReadAllBytes(Directory.GetFiles(Path.Combine(folder, CasePaths.Pstore), "dmesg-ramoops-0-*").Single()));
        string[] log = File.ReadAllLines(Path.Combine(folder, CasePaths.Kmsg));
        Assert.Equal("stream+memory", manifest.Parts.Single(p => p.Path == CasePaths.Kmsg).Source);
        Assert.Single(log, l => l.Contains(Panic, StringComparison.Ordinal));

        await CaseCheck.TraceReachesAsync(store, happened, CasePaths.Folder(store, happened.Id), Trigger, output);
    }

    private static CaseManifest Assemble(string store, CaseEvent happened, bool final) => CaseAssembly.Run(
        new CaseSource(store, CasePaths.Folder(store, happened.Id), happened, new CaseLimits(), TimeProvider.System, TextWriter.Null), final, new VmlinuxSearch(store, new Options.WatchOptions()));
}
