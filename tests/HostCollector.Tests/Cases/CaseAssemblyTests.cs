using VsockPair.Cases;
using VsockPair.Clocks;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Export;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Cases;

public sealed class CaseAssemblyTests
{
    private static readonly CaseLimits Limits = new();

    [Fact]
    public void A_case_has_the_log_the_trace_and_the_crash_record_of_the_boot_that_died()
    {
        using SampleCase sample = SampleCase.WithAll();
        CaseManifest manifest = sample.Assemble(final: true);
        sample.AssertConsistent();
        Assert.Equal((sample.Id, "web1", Guid.Parse(SampleStore.OldBoot), CaseKinds.Panic, SampleCase.BuildId), (manifest.Id, manifest.Guest, manifest.BootId, manifest.Kind, manifest.BuildId));
        Assert.NotNull(manifest.Closed);

        string record = Assert.Single(Directory.GetFiles(Path.Combine(sample.Folder, "pstore")));
        Assert.Equal(File.ReadAllBytes(Path.Combine(StorePaths.Pstore(sample.Store.BootFolder(SampleStore.NewBoot)), Path.GetFileName(record))), File.ReadAllBytes(record));

        string[] log = sample.Text(CasePaths.Kmsg).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        // The sample's one clock sample: the log stamps 99 s at 100 s of the trace clock, and that was 100 s after the boot was first seen.
        Assert.Equal("2026-01-31T11:00:11.000000Z [   10.000000] record 10", log[11]);
        // What the stream does not have is taken from the crash record, and nothing twice.
        Assert.Equal(["-- from here on out of pstore/ --", "2026-01-31T11:01:00.123456Z [   59.123456] Kernel panic - not syncing: sysrq triggered crash", "2026-01-31T11:01:00.123460Z [   59.123460] CPU: 0 PID: 1"], log[^3..]);
        CasePart kmsg = manifest.Parts.Single(p => p.Path == CasePaths.Kmsg);
        Assert.Equal(("stream+pstore", true), (kmsg.Source, kmsg.Complete));

        // Complete but for what only the memory could tell.
        Assert.Contains("what was left in the rings", sample.Reason(CasePaths.Trace), StringComparison.Ordinal);
        Assert.Equal("the policy of this guest is Memory=none", sample.Reason(CasePaths.Vmcore));
        Assert.Equal("there is no memory: the policy of this guest is Memory=none", sample.Reason(CasePaths.Dmesg));
        foreach (string file in Directory.GetFiles(sample.Folder, "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f) != CasePaths.EventName))
        {
            Assert.Equal(CaseFile.Mode, File.GetUnixFileMode(file));
        }
    }

    [TraceCmdFact]
    public async Task Its_trace_is_one_that_trace_cmd_reads()
    {
        using SampleCase sample = SampleCase.WithAll();
        sample.Assemble();
        List<string> lines = [];
        await TraceCmdReport.PrintAsync(Path.Combine(sample.Folder, CasePaths.Trace), lines.Add);
        Assert.Equal(400, lines.Count(l => l.Contains(" tick: ", StringComparison.Ordinal)));
    }

    [Fact]
    public void Its_trace_is_the_last_minutes_and_no_more_than_may_be()
    {
        using SampleCase sample = SampleCase.WithAll();
        long SlotsOf(CaseLimits limits)
        {
            sample.Assemble(limits: limits);
            return new FileInfo(Path.Combine(sample.Folder, CasePaths.Trace)).Length / SampleTrace.SubBufferBytes;
        }
        long all = SlotsOf(Limits);
        long last = SlotsOf(Limits with { Trace = TimeSpan.FromSeconds(2) });
        Assert.Equal(all - 2, last);
        Assert.DoesNotContain("it is shorter", sample.Reason(CasePaths.Trace), StringComparison.Ordinal);
        Assert.Equal(last, SlotsOf(Limits with { Trace = TimeSpan.FromMinutes(1), TraceBytes = 2 * SampleTrace.SubBufferBytes }));
        Assert.Contains("it is shorter than 1m", sample.Reason(CasePaths.Trace), StringComparison.Ordinal);
    }

    [TraceCmdFact]
    public async Task Its_trace_goes_on_with_what_the_persistent_ring_kept_of_this_boot()
    {
        using SampleCase sample = SampleCase.WithAll();
        string previous = StorePaths.Previous(sample.Store.BootFolder(SampleStore.NewBoot));
        string ring = StorePaths.PreviousVcpu(sample.Store.BootFolder(SampleStore.NewBoot), 0);
        Directory.CreateDirectory(ring);
        // The first is in the stream as well.
        File.WriteAllBytes(
            Path.Combine(ring, StorePaths.SegmentName(59_000_000_000, SampleTrace.SubBufferBytes)), [.. SampleTrace.SubBufferOf(59_000_000_000, 100, 100), .. SampleTrace.SubBufferOf(59_500_000_000, 200, 50)]);
        async Task<int> EventsAsync()
        {
            sample.Assemble();
            List<string> lines = [];
            await TraceCmdReport.PrintAsync(Path.Combine(sample.Folder, CasePaths.Trace), lines.Add);
            return lines.Count(l => l.Contains(" tick: ", StringComparison.Ordinal));
        }
        foreach (string other in (string[])["", $"boot {SampleStore.NewBoot} clock boot\n\n", $"boot {SampleStore.OldBoot} clock local\n\n"])
        {
            File.WriteAllText(Path.Combine(previous, GuestPrevious.Info), other);
            Assert.Equal(400, await EventsAsync());
        }
        File.WriteAllText(Path.Combine(previous, GuestPrevious.Info), $"boot {SampleStore.OldBoot} clock boot\n\nlast_boot_info");
        Assert.Equal(450, await EventsAsync());
        Assert.Equal("stream+persistent-ring", sample.Manifest.Parts.Single(p => p.Path == CasePaths.Trace).Source);
        Assert.Contains("an unknown number of events was lost in 1 places", sample.Reason(CasePaths.Trace), StringComparison.Ordinal);
    }

    [Fact]
    public void Losses_are_in_the_log_and_in_the_manifest()
    {
        using SampleCase sample = new();
        sample.Store.WriteKmsg(SampleStore.OldBoot, 0, SampleStore.Records(0, 5) + SampleStore.Records(8, 2));
        sample.Trace.WriteSegment(0, 55_000_000_000, SampleTrace.SubBufferOf(55_000_000_000, 0, 10), SampleTrace.SubBufferOf(56_000_000_000, 10, 10));
        SampleStore.AddLosses(sample.Store.BootFolder(SampleStore.OldBoot), new LossRecord { Time = SampleCase.Crash, Source = "transport", Stream = "cpu0", First = 55_000_000_000, Events = 7 });
        sample.Assemble();
        Assert.Contains("\n-- 3 records lost --\n", sample.Text(CasePaths.Kmsg), StringComparison.Ordinal);
        Assert.Contains("3 records were lost", sample.Reason(CasePaths.Kmsg), StringComparison.Ordinal);
        Assert.Contains("7 events were lost", sample.Reason(CasePaths.Trace), StringComparison.Ordinal);
        sample.AssertConsistent();
    }

    [Fact]
    public void A_log_beyond_its_bound_is_cut_at_its_beginning()
    {
        using SampleCase sample = new();
        sample.Store.WriteKmsg(SampleStore.OldBoot, 0, SampleStore.Records(0, 100));
        sample.Store.WriteKmsg(SampleStore.OldBoot, 100, SampleStore.Records(100, 100));
        sample.Assemble(limits: Limits with { KmsgBytes = 3000 });
        string[] log = sample.Text(CasePaths.Kmsg).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith("-- the first ", log[0], StringComparison.Ordinal);
        Assert.EndsWith(" record 100", log[2], StringComparison.Ordinal);
        Assert.Contains("are left out", sample.Reason(CasePaths.Kmsg), StringComparison.Ordinal);
    }

    [Fact]
    public void Records_of_an_earlier_crash_and_of_a_restored_snapshot_are_not_taken_for_this_ones()
    {
        using SampleCase sample = new();
        // What the boot that died had offered itself is of the crash before it.
        sample.WritePstore(SampleStore.OldBoot, SampleCase.Record, "Panic#1 of an earlier boot\n");
        string life = SampleStore.OldBoot + ".1";
        sample.Store.AddBoot(life, SampleCase.Crash.AddMinutes(1));
        sample.WritePstore(life, SampleCase.Record, "of a snapshot\n");
        sample.Assemble();
        Assert.Contains($"boot {SampleStore.NewBoot}, which followed, has offered none", sample.Reason(CasePaths.Pstore), StringComparison.Ordinal);
        string name = sample.WritePstore(SampleStore.NewBoot, SampleCase.Record, "of this one\n");
        sample.Assemble();
        Assert.Equal([$"pstore/{name}"], sample.Manifest.Parts.Select(p => p.Path).Where(p => p.StartsWith("pstore/", StringComparison.Ordinal)));
    }

    [Fact]
    public void Without_an_agent_there_is_a_case_all_the_same()
    {
        using SampleCase sample = new();
        sample.WriteEvent(sample.Event with { Id = CasePaths.Id(SampleCase.Crash, "other", 0), Guest = "other", Boot = null });
        CaseManifest manifest = sample.Assemble(final: true);
        Assert.Equal([CasePaths.ReadMe], manifest.Parts.Select(p => p.Path));
        Assert.Contains("it has no agent", sample.Reason(CasePaths.Kmsg), StringComparison.Ordinal);
        Assert.Null(manifest.BootId);
        sample.AssertConsistent();
    }

    [Fact]
    public void A_fault_in_one_part_is_its_reason_and_the_others_go_on()
    {
        using SampleCase sample = SampleCase.WithAll();
        sample.Assemble(reached: point =>
        {
            if (point == CasePaths.Kmsg + " written")
            {
                throw new InvalidOperationException("broken");
            }
        });
        Assert.Equal("it failed: broken", sample.Reason(CasePaths.Kmsg));
        Assert.Contains(sample.Manifest.Parts, p => p.Path == CasePaths.Trace);
        sample.AssertConsistent();
    }

    [Fact]
    public void A_memory_that_is_none_is_told_and_costs_nothing_else()
    {
        using SampleCase sample = SampleCase.WithAll();
        File.WriteAllText(Path.Combine(sample.Folder, CasePaths.Vmcore), new string('x', 100_000));
        sample.WriteEvent(sample.Event with { Memory = new CaseMemory("full", MemoryTaken.Full, "elf", null, 1.5) });
        sample.Assemble();
        Assert.Contains("neither an ELF core nor kdump-compressed", sample.Reason(CasePaths.Dmesg), StringComparison.Ordinal);
        Assert.Contains(sample.Manifest.Parts, p => p is { Path: CasePaths.Vmcore, Complete: true, Source: "memory", Bytes: 100_000 });
        Assert.Contains(sample.Manifest.Parts, p => p.Path == CasePaths.Trace);
        sample.AssertConsistent();
    }

    [Fact]
    public void A_case_is_there_before_the_hash_of_a_large_memory_is()
    {
        using SampleCase sample = SampleCase.WithAll();
        string vmcore = Path.Combine(sample.Folder, CasePaths.Vmcore);
        File.WriteAllText(vmcore, new string('x', 100_000));
        sample.WriteEvent(sample.Event with { Memory = new CaseMemory("full", MemoryTaken.Full, "elf", null, 1.5) });
        int seen = 0;
        void AtHash(string point)
        {
            if (point == CasePaths.Vmcore && StoredCase.TryOpen(sample.Store.Root, sample.Id)!.Manifest is CaseManifest before)
            {
                Assert.Null(before.Closed);
                Assert.Contains(before.Parts, p => p.Path == CasePaths.Kmsg);
                seen++;
            }
        }
        sample.Assemble(final: true, reached: AtHash);
        Assert.Equal(1, seen);
        Assert.NotNull(sample.Manifest.Closed);
        // Known from then on, as long as it is the same file: its content is not read again.
        DateTime written = File.GetLastWriteTimeUtc(vmcore);
        File.WriteAllText(vmcore, new string('y', 100_000));
        File.SetLastWriteTimeUtc(vmcore, written);
        string hash = sample.Manifest.Parts.Single(p => p.Path == CasePaths.Vmcore).Sha256;
        Assert.Equal(hash, sample.Assemble().Parts.Single(p => p.Path == CasePaths.Vmcore).Sha256);
        File.SetLastWriteTimeUtc(vmcore, written.AddSeconds(1));
        Assert.NotEqual(hash, sample.Assemble().Parts.Single(p => p.Path == CasePaths.Vmcore).Sha256);
    }

    [Fact]
    public void What_an_earlier_run_made_stays_when_it_cannot_be_made_anew()
    {
        using SampleCase sample = SampleCase.WithAll();
        sample.Assemble();
        string log = sample.Text(CasePaths.Kmsg);
        Directory.Delete(sample.Store.Guest, recursive: true);
        CaseManifest manifest = sample.Assemble(final: true);
        Assert.Equal(log, sample.Text(CasePaths.Kmsg));
        Assert.Contains(manifest.Parts, p => p is { Path: CasePaths.Kmsg, Complete: false });
        Assert.Contains("is no longer stored", sample.Reason(CasePaths.Kmsg), StringComparison.Ordinal);
        sample.AssertConsistent();
    }

    [Fact]
    public void A_closed_case_stays_closed_and_one_process_at_a_time_works_on_it()
    {
        using SampleCase sample = SampleCase.WithAll();
        DateTimeOffset? closed = sample.Assemble(final: true).Closed;
        Assert.Equal(closed, sample.Assemble().Closed);
        sample.Assemble(reached: point =>
        {
            if (point == CasePaths.Trace)
            {
                Assert.Contains("is being assembled by another process", Assert.Throws<IOException>(() => sample.Assemble()).Message, StringComparison.Ordinal);
            }
        });
    }

    [Fact]
    public void What_a_guest_chose_is_neither_a_path_nor_an_escape_sequence()
    {
        using SampleCase sample = new();
        sample.Change(SampleStore.OldBoot, b => b with { Kernel = "../../../../tmp/\u001b[2Jevil", BuildId = "../../../etc/passwd" });
        sample.WriteEvent(sample.Event with { Detail = "{\"type\":\"\u001b]0;owned\u0007\"}" });
        sample.Store.WriteKmsg(SampleStore.OldBoot, 0, "6,0,1000000,-;\\x1b[2Jcleared\n");
        string pstore = StorePaths.Pstore(sample.Store.BootFolder(SampleStore.NewBoot));
        Directory.CreateDirectory(pstore);
        File.WriteAllText(Path.Combine(pstore, "x\u001b[2J-0123456789abcdef"), "no name that serve lets in");
        sample.WritePstore(SampleStore.NewBoot, SampleCase.Record, "<0>[   59.000000] Kernel panic - not syncing: \u001b[31mred\u0090\n");
        sample.Assemble();
        Assert.DoesNotContain('\u001b', sample.Text(CasePaths.ReadMe) + sample.Text(CasePaths.Kmsg));
        Assert.Contains("Kernel panic - not syncing: \\x1b[31mred", sample.Text(CasePaths.ReadMe), StringComparison.Ordinal);
        Assert.Null(sample.Manifest.BuildId);
        Assert.Single(Directory.GetFiles(Path.Combine(sample.Folder, "pstore")));
        sample.AssertConsistent();
    }

    [Fact]
    public void Read_me_says_what_happened_and_which_command_opens_what()
    {
        using SampleCase sample = SampleCase.WithAll();
        sample.Assemble(final: true);
        string text = sample.Text(CasePaths.ReadMe);
        Assert.StartsWith($"{sample.Id}: web1 panicked at 2026-01-31T11:01:00.000000000Z (told by qmp:/run/vms/web1/qmp.sock).\n", text, StringComparison.Ordinal);
        Assert.Contains($"Kernel 6.12.0-amd64, build-id {SampleCase.BuildId}", text, StringComparison.Ordinal);
        Assert.Contains("\nKernel panic - not syncing: sysrq triggered crash\nkmsg.txt ends so:\n", text, StringComparison.Ordinal);
        Assert.Contains($"trace-cmd report -i {sample.Folder}/trace.dat", text, StringComparison.Ordinal);
        Assert.Contains($"vsockpair export {sample.Id} -o {sample.Id}.tar.zst", text, StringComparison.Ordinal);
        Assert.InRange(text.Split('\n').Length, 10, 40);
    }

    [Fact]
    public void Of_a_guest_that_goes_on_the_trace_ends_a_little_after_the_event()
    {
        using SampleCase sample = SampleCase.WithAll();
        sample.Change(SampleStore.OldBoot, b => b with { Ended = null, EndReason = null });
        sample.WriteEvent(sample.Event with { Kind = CaseKinds.Dump, Time = SampleStore.Noon.AddHours(-1).AddSeconds(50.5) });
        CaseSource source = new(sample.Store.Root, sample.Folder, sample.Event, Limits, TimeProvider.System, TextWriter.Null);
        Assert.Equal(55_500_000_000ul, TracePart.Choose(source).Export.Range.To);
        Assert.Equal(55_500_000_000, ClockModel.Load(source.Dead!, TextWriter.Null)!.BootAtHost(sample.Event.Time.AddSeconds(5)));
    }
}
