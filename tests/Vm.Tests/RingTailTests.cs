using System.Diagnostics;
using System.IO.Pipes;
using VsockPair.Cases;
using VsockPair.Commands;
using VsockPair.History;
using VsockPair.Memory;
using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>
/// The end of a trace out of a guest's memory, against what the same rings deliver afterwards: the guest is stopped at any moment with its agent not reading, its memory
/// is read, and then it goes on and its agent sends the rest.
/// </summary>
public sealed class RingTailTests(ITestOutputHelper output)
{
    private const long RatePerVcpu = 150_000;

    /// <summary>Both vCPUs are never idle, so that they are stopped anywhere, also in the middle of an event.</summary>
    private const string Busy = "for i in 1 2 3; do (while [ ! -e /tmp/quiet ]; do cat /proc/uptime /proc/stat; done >/dev/null 2>&1 &); done";

    private const string Syscalls = "[Trace]\nEvents=sched irq timer raw_syscalls\nBufferKb=8192\n";

    private static readonly int Rounds = Soak.Choose(inTest: 2, inSoak: 20);

    /// <summary>Each takes two minutes: in every day's tests each kernel has one.</summary>
    public static TheoryData<GuestKernel, string> Guests => Soak.Choose<TheoryData<GuestKernel, string>>(
        inTest: new() { { GuestKernel.Linux61, "" }, { GuestKernel.Linux612, Syscalls } },
        inSoak: new() { { GuestKernel.Linux61, "" }, { GuestKernel.Linux612, "" }, { GuestKernel.Linux61, Syscalls }, { GuestKernel.Linux612, Syscalls } });

    [Theory]
    [MemberData(nameof(Guests))]
    public Task Memory_holds_event_for_event_what_the_stream_delivers_later(GuestKernel kernel, string agentConfiguration) =>
        Account.UntilLosslessAsync(output, () => CompareAsync(kernel, agentConfiguration));

    private async Task<IReadOnlyList<Account>> CompareAsync(GuestKernel kernel, string agentConfiguration)
    {
        await using Lab lab = new();
        await lab.Collector.StartAsync();
        AgentGuest guest = await lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = 2, MemoryMiB = 384, Name = "web1" }, agentConfiguration);
        await lab.WaitForStreamsAsync(guest);
        (await guest.Guest.RunAsync(agentConfiguration.Length == 0 ? "true" : Busy)).EnsureSuccess();
        List<Stop> stops = [];
        for (int i = 0; i < Rounds; i++)
        {
            Task load = guest.LoadAsync(seconds: 6, RatePerVcpu);
            await Task.Delay(Random.Shared.Next(1000, 3000));
            // In every second round events are on their way, read from the ring and not yet stored, when the guest stops.
            bool isHeld = i % 2 == 1;
            if (isHeld)
            {
                lab.Collector.Signal(Signals.Stop);
                await Task.Delay(Random.Shared.Next(300, 1000));
            }
            (await guest.Guest.RunAsync("kill -STOP $(pidof vsockpair-agent)")).EnsureSuccess();
            await Task.Delay(Random.Shared.Next(1000, 2000));
            stops.Add(await StopAsync(lab, guest.Guest, i));
            (await guest.Guest.RunAsync("kill -CONT $(pidof vsockpair-agent)")).EnsureSuccess();
            if (isHeld)
            {
                lab.Collector.Signal(Signals.Continue);
            }
            await load;
        }
        (await guest.Guest.RunAsync("touch /tmp/quiet; sleep 2")).EnsureSuccess();
        await lab.EndAsync(guest);
        IReadOnlyList<Account> accounts = await Account.CheckAllAsync(guest, lab.Stored("web1"), output);
        if (accounts.Any(a => a.RingLoss + a.TransportLoss > 0))
        {
            // On a machine that was too busy a session ended, and the stream has not all that the memory had.
            return accounts;
        }
        CaseTrace delivered = Open(lab.Collector.Store, Path.Combine(guest.Guest.Directory, "no-case"));
        Dictionary<int, List<Event>> streams = delivered.Recording.Vcpus.ToDictionary(v => v.Number, v => Read(v).Events);
        foreach (Stop stop in stops)
        {
            Compare(stop, streams);
            // Over the stream that has it all by now, the memory adds nothing.
            CaseTrace later = Open(lab.Collector.Store, stop.Case);
            Assert.Equal(0, later.MemoryEvents);
            Assert.All(later.Recording.Vcpus, v => Assert.Equal(streams[v.Number].Count, Read(v).Events.Count));
        }
        return accounts;
    }

    /// <summary>Stops the guest, takes its memory in both ways and the store as it is, and lets the guest go on.</summary>
    private async Task<Stop> StopAsync(Lab lab, Guest guest, int number)
    {
        Stop stop = new(Directory.CreateDirectory(Path.Combine(guest.Directory, $"stop{number}")).FullName);
        Directory.CreateDirectory(stop.Case);
        Directory.CreateDirectory(stop.SmallCase);
        string small = Path.Combine(stop.Folder, "small");
        await guest.Qmp.ExecuteAsync("stop");
        string dump = await StandingGuest.DumpAsync(guest, "elf");
        CopyFolder(lab.Collector.Store, stop.Store);
        MemoryReading reading = await ReadStandingAsync(guest, stop.Store, small);
        await guest.Qmp.ExecuteAsync("cont");

        using MemoryFile whole = StandingGuest.Open(dump);
        (IReadOnlyList<RingTail> tails, TaskList? tasks) = ReadMemory(whole, stop.Store, isWhole: true);
        IReadOnlyList<MemoryRing> rings = MemoryTrace.Write(stop.Case, tails);
        StringWriter text = new();
        tasks!.Write(text);
        output.WriteLine(string.Join('\n', text.ToString().Split('\n').Take(6)));
        Assert.True(tasks.IsComplete);
        Assert.Equal([0, 1], tasks.Running.Keys);
        Assert.Contains(tasks.Tasks, t => t is { Pid: 1, Tgid: 1 } && t.Comm.Span.SequenceEqual("command-server"u8));
        Assert.Contains(tasks.Tasks, t => t.State == 'T' && t.Comm.Span.StartsWith("vsockpair-agent"u8));

        // What was read of the standing guest, the newest first: all of it, if there was time.
        output.Measured($"standing: {reading.Requests} requests, {reading.Bytes >> 10} KiB in {reading.Time.TotalMilliseconds:0} ms; {reading.Reason ?? "all"}");
        using MemoryFile part = StandingGuest.Open(small);
        (IReadOnlyList<RingTail> fewTails, TaskList? fewTasks) = ReadMemory(part, stop.Store, isWhole: reading.Reason is null);
        foreach (MemoryRing ring in MemoryTrace.Write(stop.SmallCase, fewTails))
        {
            MemoryRing full = rings.Single(r => r.Vcpu == ring.Vcpu);
            output.WriteLine($"cpu{ring.Vcpu}: {ring.Events} of {full.Events} events");
            Assert.Equal(reading.Reason is null ? full : full with { Events = ring.Events, Complete = ring.Complete, LostAtEnd = ring.LostAtEnd }, ring);
            Assert.Equal(InMemory(stop.Case, ring.Vcpu).TakeLast((int)ring.Events), InMemory(stop.SmallCase, ring.Vcpu));
        }
        Assert.True(reading.Reason is not null || fewTasks!.Tasks.Count == tasks.Tasks.Count);
        File.Delete(dump);
        File.Delete(small);
        return stop;
    }

    /// <summary>What was stored at the stop, the gap in events, then the memory: the beginning of what the stream has in the end, event for event.</summary>
    private void Compare(Stop stop, Dictionary<int, List<Event>> streams)
    {
        CaseTrace trace = Open(stop.Store, stop.Case);
        IReadOnlyList<(MemoryRing Ring, SegmentFile[] Segments)> memory = MemoryTrace.Read(stop.Case);
        Assert.Equal(memory.Sum(m => m.Ring.Events), trace.MemoryEvents);
        Assert.Equal([0, 1], trace.Recording.Vcpus.Select(v => v.Number));
        foreach (VcpuRecording vcpu in trace.Recording.Vcpus)
        {
            MemoryRing ring = memory.Single(m => m.Ring.Vcpu == vcpu.Number).Ring;
            (List<Event> events, EventLoss between) = Read(vcpu);
            List<Event> all = streams[vcpu.Number];
            int stored = events.Count - (int)ring.Events;
            int missing = (int)(between.Events ?? 0);
            output.Measured($"cpu{vcpu.Number}: {stored} stored, {missing} on their way, {ring.Events} in the ring; {all.Count} delivered in the end");
            Assert.True(ring.Complete);
            Assert.Equal(0, ring.LostAtEnd);
            Assert.True(ring.Events > 100, "nothing to compare: the ring was all but empty");
            Assert.Equal(all.Take(stored), events.Take(stored));
            Assert.Equal(all.Skip(stored + missing).Take((int)ring.Events), events.Skip(stored));
            Assert.Equal(missing, trace.Losses.Of(vcpu).Transport);
        }
    }

    private (IReadOnlyList<RingTail> Tails, TaskList? Tasks) ReadMemory(MemoryFile file, string store, bool isWhole)
    {
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
        output.Measured($"types and symbols in {known} ms, rings and tasks in {watch.ElapsedMilliseconds - known} ms; {string.Join("; ", faults.Prepend(fault).Append(noTasks))}");
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

    private sealed record Stop(string Folder)
    {
        public string Store => Path.Combine(Folder, "store");

        public string Case => Path.Combine(Folder, "case");

        /// <summary>Of what was read of the standing guest.</summary>
        public string SmallCase => Path.Combine(Folder, "small-case");
    }
}
