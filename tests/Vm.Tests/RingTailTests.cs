using System.Diagnostics;
using System.IO.Pipes;
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
        string store = Path.Combine(guest.Guest.Directory, "store");
        string small = Path.Combine(guest.Guest.Directory, "small");
        await guest.Guest.Qmp.ExecuteAsync("stop");
        string dump = await StandingGuest.DumpAsync(guest.Guest, "elf");
        CopyFolder(lab.Collector.Store, store);
        MemoryReading reading = await ReadStandingAsync(guest.Guest, store, small);
        await guest.Guest.Qmp.ExecuteAsync("cont");
        (await guest.Guest.RunAsync("kill -CONT $(pidof vsockpair-agent)")).EnsureSuccess();
        await load;
        await lab.EndAsync(guest);
        await Account.CheckAllAsync(guest, lab.Stored("web1"), output);

        (IReadOnlyList<RingTail> tails, TaskList? found) = ReadMemory(dump, store, isWhole: true);
        TaskList tasks = found!;
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

        // What was read of the standing guest, the newest first: all of it, if there was time.
        output.WriteLine($"standing: {reading.Requests} requests, {reading.Bytes >> 10} KiB in {reading.Time.TotalMilliseconds:0} ms; {reading.Reason ?? "all"}");
        (IReadOnlyList<RingTail> fewTails, TaskList? fewTasks) = ReadMemory(small, store, isWhole: reading.Reason is null);
        string few = Directory.CreateDirectory(Path.Combine(guest.Guest.Directory, "few")).FullName;
        foreach (MemoryRing ring in MemoryTrace.Write(few, fewTails))
        {
            MemoryRing full = rings.Single(r => r.Vcpu == ring.Vcpu);
            output.WriteLine($"cpu{ring.Vcpu}: {ring.Events} of {full.Events} events");
            Assert.Equal(reading.Reason is null ? full : full with { Events = ring.Events, Complete = ring.Complete, LostAtEnd = ring.LostAtEnd }, ring);
            List<Event> all = InMemory(folder, ring.Vcpu);
            Assert.Equal(all.TakeLast((int)ring.Events), InMemory(few, ring.Vcpu));
        }
        Assert.True(reading.Reason is not null || fewTasks!.Tasks.Count == tasks.Tasks.Count);

        // Over the stream that has it all by now, the memory adds nothing.
        CaseTrace later = Open(lab.Collector.Store, folder);
        Assert.Equal(0, later.MemoryEvents);
        Assert.All(later.Recording.Vcpus, v => Assert.Equal(Read(delivered.Recording.Vcpus.Single(d => d.Number == v.Number)).Events, Read(v).Events));
    }

    private (IReadOnlyList<RingTail> Tails, TaskList? Tasks) ReadMemory(string dump, string store, bool isWhole)
    {
        MemoryFile file = StandingGuest.Open(dump);
        StoredBoot boot = StoredGuest.Open(store, "web1").NewestBoot!;
        BootMetadata metadata = new(store, boot);
        Assert.True(VmcoreInfoSource.TryFind(file, file.Notes, metadata.Read("vmcoreinfo"), out VmcoreInfo? info, out string? reason), reason);
        Assert.True(KernelMemory.TryOpen(file, info, out KernelMemory? memory, out reason), reason);
        Stopwatch watch = Stopwatch.StartNew();
        StoredKernel kernel = StoredKernel.TryFind(store, info, boot, out string fault) ?? throw new InvalidDataException(fault);
        long known = watch.ElapsedMilliseconds;
        KernelAddresses told = KernelAddresses.TryCreate(metadata.Read("kallsyms")!, metadata.Read("kallsyms-boot")!, null, out fault) ?? throw new InvalidDataException(fault);
        Assert.Equal(told.Find("init_task"), kernel.Addresses.Find("init_task"));
        List<string> faults = [];
        FtraceRings? rings = FtraceRings.TryOpen(memory, kernel.Types, kernel.Addresses, out fault);
        IReadOnlyList<RingTail> tails = rings?.Open(FtraceRings.AgentInstance, faults) ?? [];
        FtraceRings.Touch(tails);
        TaskList? tasks = TaskList.TryRead(memory, kernel.Types, kernel.Addresses, out string noTasks);
        if (isWhole)
        {
            Assert.Subset(rings!.Instances.ToHashSet(), new HashSet<string> { FtraceRings.TopLevel, FtraceRings.AgentInstance });
            Assert.Equal([0, 1], tails.Select(t => t.Vcpu));
            Assert.Empty(faults);
            Assert.True(tasks is not null, noTasks);
        }
        output.WriteLine($"types and symbols in {known} ms, rings and tasks in {watch.ElapsedMilliseconds - known} ms; {string.Join("; ", faults.Prepend(fault).Append(noTasks))}");
        return (tails, tasks);
    }

    /// <summary>As <c>watch</c> and its child do, over two pipes.</summary>
    private static async Task<MemoryReading> ReadStandingAsync(Guest guest, string store, string target)
    {
        StandingGuest standing = new(guest);
        byte[] notes = (await standing.ReadNotesAsync(CancellationToken.None))!;
        await using AnonymousPipeServerStream requests = new(PipeDirection.In);
        await using AnonymousPipeServerStream answers = new(PipeDirection.Out);
        await using FileStream file = File.Create(target);
        MiniCoreWriter core = new(file);
        StringWriter error = new();
        Task child = Task.Run(() =>
        {
            using AnonymousPipeClientStream ours = new(PipeDirection.Out, requests.ClientSafePipeHandle);
            using AnonymousPipeClientStream theirs = new(PipeDirection.In, answers.ClientSafePipeHandle);
            ReadMemoryCommand.Run(new CommandContext(store, TextWriter.Null, error, TimeProvider.System), "web1", theirs, ours);
        });
        MemoryReading reading = await new MemoryServer(standing, core).ServeAsync(notes, requests, answers, CancellationToken.None);
        core.Finish(notes);
        await answers.DisposeAsync();
        await requests.DisposeAsync();
        await Task.WhenAny(child, Task.Delay(TimeSpan.FromSeconds(10)));
        Assert.True(reading.Reason is not null || error.ToString().Length == 0, error.ToString());
        return reading;
    }

    private static List<Event> InMemory(string caseFolder, int vcpu)
    {
        SegmentFile[] segments = MemoryTrace.Read(caseFolder).Single(m => m.Ring.Vcpu == vcpu).Segments;
        return segments.Length == 0 ? [] : Read(VcpuRecording.Join(vcpu, null, segments, 0, default)).Events;
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
        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(f => Path.GetExtension(f) is not (".sock" or ".lock")))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    private sealed record Event(ulong Time, string Payload);
}
