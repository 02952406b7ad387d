using System.Diagnostics;
using System.Text.Json.Nodes;
using VsockPair.Cases;
using VsockPair.Commands;
using VsockPair.History;
using VsockPair.Memory;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>
/// The end of a trace out of a guest's memory, against what the same rings deliver afterwards: the guest is stopped at any moment with its agent not reading, its memory
/// is dumped, and then it goes on and its agent sends the rest.
/// </summary>
public sealed class RingTailTests(ITestOutputHelper output)
{
    private const string Case = "case";

    /// <summary>Half of what the ring bridges in the longest time for which nobody reads it.</summary>
    private const long RatePerVcpu = 150_000;

    [Theory]
    [InlineData(GuestKernel.Linux61, "")]
    [InlineData(GuestKernel.Linux612, "")]
    [InlineData(GuestKernel.Linux612, "[Trace]\nEvents=sched irq timer\nBufferKb=512\n")]
    public async Task Memory_holds_event_for_event_what_the_stream_delivers_later(GuestKernel kernel, string agentConfiguration)
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 2, Name = "web1" }, agentConfiguration);
        await lab.WaitForStreamsAsync(guest);
        Task load = guest.LoadAsync(seconds: 12, RatePerVcpu);
        await Task.Delay(Random.Shared.Next(2000, 4000));
        (await guest.Guest.RunAsync("kill -STOP $(pidof vsockpair-agent)")).EnsureSuccess();
        await Task.Delay(Random.Shared.Next(1000, 2000));

        string folder = Path.Combine(guest.Guest.Directory, Case);
        Directory.CreateDirectory(folder);
        string dump = Path.Combine(folder, CasePaths.Vmcore);
        await guest.Guest.Qmp.ExecuteAsync("stop");
        await guest.Guest.Qmp.ExecuteAsync("dump-guest-memory", new JsonObject { ["paging"] = false, ["protocol"] = $"file:{dump}" });
        string store = Path.Combine(guest.Guest.Directory, "store");
        CopyFolder(lab.Collector.Store, store);
        await guest.Guest.Qmp.ExecuteAsync("cont");
        (await guest.Guest.RunAsync("kill -CONT $(pidof vsockpair-agent)")).EnsureSuccess();
        await load;
        await lab.EndAsync(guest);
        await Account.CheckAllAsync(guest, lab.Stored("web1"), output);

        (IReadOnlyList<RingTail> tails, TaskList tasks) = ReadMemory(dump, store);
        Assert.Equal([0, 1], tails.Select(t => t.Vcpu));
        StringWriter text = new();
        tasks.Write(text);
        output.WriteLine(string.Join('\n', text.ToString().Split('\n').Take(12)));
        Assert.True(tasks.IsComplete);
        Assert.Equal([0, 1], tasks.Running.Keys);
        Assert.Contains(tasks.Tasks, t => t is { Pid: 1, Tgid: 1 } && t.Comm.Span.SequenceEqual("init"u8));
        Assert.Contains(tasks.Tasks, t => t.State == 'T' && t.Comm.Span.StartsWith("vsockpair-agent"u8));

        IReadOnlyList<MemoryRing> rings = MemoryTrace.Write(folder, tails);
        CaseTrace trace = Open(store, folder);
        CaseTrace delivered = Open(lab.Collector.Store, Path.Combine(guest.Guest.Directory, "no-case"));
        Assert.Equal(rings.Sum(r => r.Events), trace.MemoryEvents);
        foreach (VcpuRecording vcpu in trace.Recording.Vcpus)
        {
            MemoryRing ring = rings.Single(r => r.Vcpu == vcpu.Number);
            (List<Event> events, EventLoss between) = Read(vcpu);
            (List<Event> all, EventLoss lost) = Read(delivered.Recording.Vcpus.Single(v => v.Number == vcpu.Number));
            int stored = events.Count - (int)ring.Events;
            int missing = (int)(between.Events ?? 0);
            output.WriteLine($"cpu{vcpu.Number}: {stored} stored, {missing} in the agent's pipe, {ring.Events} in the ring; {all.Count} delivered in the end");
            Assert.True(ring.Complete);
            Assert.Equal(0, ring.LostAtEnd);
            Assert.False(lost.Any);
            Assert.True(ring.Events > 100, "nothing to compare: the ring was all but empty");
            // The stream, the gap in events, then the memory, event for event.
            Assert.Equal(all.Take(stored), events.Take(stored));
            Assert.Equal(all.Skip(stored + missing).Take((int)ring.Events), events.Skip(stored));
            Assert.Equal(missing, trace.Losses.Of(vcpu).Transport);
        }

        // Over the stream that has it all by now, the memory adds nothing.
        CaseTrace later = Open(lab.Collector.Store, folder);
        Assert.Equal(0, later.MemoryEvents);
        Assert.All(later.Recording.Vcpus, v => Assert.Equal(Read(delivered.Recording.Vcpus.Single(d => d.Number == v.Number)).Events, Read(v).Events));
    }

    private (IReadOnlyList<RingTail> Tails, TaskList Tasks) ReadMemory(string dump, string store)
    {
        Assert.True(MemoryFiles.TryOpen(dump, out MemoryFile? file, out string? reason), reason);
        StoredBoot boot = StoredGuest.Open(store, "web1").NewestBoot!;
        BootMetadata metadata = new(store, boot);
        Assert.True(VmcoreInfoSource.TryFind(file, file.Notes, metadata.Read("vmcoreinfo"), out VmcoreInfo? info, out reason), reason);
        Assert.True(KernelMemory.TryOpen(file, info, out KernelMemory? memory, out reason), reason);
        Stopwatch watch = Stopwatch.StartNew();
        KernelTypes types = KernelTypes.TryParse(metadata.Read("btf")!, out string fault) ?? throw new InvalidDataException(fault);
        // Without kallsyms-boot: VMCOREINFO says where the kernel lies.
        KernelAddresses addresses = KernelAddresses.TryCreate(metadata.Read("kallsyms")!, [], info, out fault) ?? throw new InvalidDataException(fault);
        KernelAddresses told = KernelAddresses.TryCreate(metadata.Read("kallsyms")!, metadata.Read("kallsyms-boot")!, null, out fault) ?? throw new InvalidDataException(fault);
        Assert.Equal(told.Find("init_task"), addresses.Find("init_task"));
        FtraceRings rings = FtraceRings.TryOpen(memory, types, addresses, out fault) ?? throw new InvalidDataException(fault);
        Assert.Equal(["", "vsockpair"], rings.Instances.Order(StringComparer.Ordinal));
        List<string> faults = [];
        IReadOnlyList<RingTail> tails = rings.Open(FtraceRings.AgentInstance, faults);
        FtraceRings.Touch(tails);
        Assert.Empty(faults);
        TaskList tasks = TaskList.TryRead(memory, types, addresses, out fault) ?? throw new InvalidDataException(fault);
        output.WriteLine($"types, symbols, rings and {tasks.Tasks.Count} tasks read in {watch.ElapsedMilliseconds} ms");
        return (tails, tasks);
    }

    private static CaseTrace Open(string store, string caseFolder)
    {
        StoredGuest guest = StoredGuest.Open(store, "web1");
        return CaseTrace.Open(guest, guest.NewestBoot!, caseFolder, null, TextWriter.Null);
    }

    private static (List<Event> Events, EventLoss Loss) Read(VcpuRecording vcpu)
    {
        List<Event> events = [];
        EventLoss loss = default;
        using VcpuEvents walk = new(vcpu.Read(TraceRange.All, []));
        while (walk.TryReadNext())
        {
            loss = loss.And(walk.Loss);
            events.Add(new Event(walk.TimeStamp, Convert.ToHexString(walk.Payload)));
        }
        return (events, loss.And(walk.Loss));
    }

    private static void CopyFolder(string from, string to)
    {
        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(f => !f.EndsWith(".sock", StringComparison.Ordinal)))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    private sealed record Event(ulong Time, string Payload);
}
