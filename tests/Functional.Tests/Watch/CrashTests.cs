using System.Text.Json.Nodes;
using VsockPair.Cases;
using VsockPair.Functional.Tests.Collector;
using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.TestKit.Qmp;

namespace VsockPair.Functional.Tests.Watch;

/// <summary>What <c>watch</c> does with a machine whose guest crashes, against a QEMU that is none.</summary>
public sealed class CrashTests : IDisposable
{
    private readonly WatchLab _lab = new();

    public void Dispose() => _lab.Dispose();

    [Fact]
    public void A_panic_becomes_a_case_with_all_of_the_memory_and_the_guest_goes_on()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start();
        _lab.AwaitConnected(qemu);
        DateTimeOffset before = DateTimeOffset.UtcNow;
        qemu.Panic();
        CaseEvent e = _lab.AwaitCase(c => c.Released is not null, "the guest goes on");
        Assert.Equal("running", qemu.State);
        Assert.Equal(("web1", CaseKinds.Panic, $"qmp:{_lab.SocketOf("web1")}", "continue", 0L, 1), (e.Guest, e.Kind, e.Source, e.Action, e.Repeats, e.Attempts));
        Assert.InRange(e.Time, before.AddMilliseconds(-1), DateTimeOffset.UtcNow);
        Assert.Equal(("auto", MemoryTaken.Full, "elf", null), (e.Memory!.Policy, e.Memory.Taken, e.Memory.Format, e.Memory.Reason));
        Assert.InRange(e.Memory.PausedSeconds, 0.04, 10);
        string vmcore = Path.Combine(_lab.FolderOf(e), "vmcore");
        Assert.Equal(qemu.DumpContent, File.ReadAllBytes(vmcore));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(vmcore));
        Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(_lab.FolderOf(e)) & (UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute | UnixFileMode.GroupWrite));
        Assert.False(File.Exists(vmcore + ".partial"));
    }

    [Fact]
    public void Ten_thousand_panics_in_one_go_are_one_case_one_dump_and_an_exact_count()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start();
        _lab.AwaitConnected(qemu);
        qemu.Panic(10_000);
        CaseEvent e = _lab.AwaitCase(c => c.Released is not null && c.Repeats >= 9_999, "all are counted");
        Assert.Equal(9_999, e.Repeats);
        // One after the other, each of which stops the machine again.
        for (int i = 0; i < 20; i++)
        {
            qemu.Panic();
            TestStore.Await(() => qemu.State == "running", "the guest goes on");
        }
        e = _lab.AwaitCase(c => c.Repeats >= 10_019, "those are counted too");
        Assert.Equal(10_019, e.Repeats);
        Assert.Single(_lab.Cases);
        Assert.Equal(1, qemu.WholeDumps);
        Assert.Equal(10_020, _lab.Status().Machines.Single().Panics);
    }

    [Fact]
    public void A_crash_loop_makes_a_case_each_and_no_more_dumps_than_it_may()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start(o => o with { DumpsPerHour = 2 });
        _lab.AwaitConnected(qemu);
        for (int crash = 1; crash <= 22; crash++)
        {
            qemu.Panic();
            TestStore.Await(() => qemu.State == "running", $"the guest goes on after crash {crash}");
            qemu.Reset();
        }
        TestStore.Await(() => _lab.Cases is { Count: 20 } cases && cases.All(c => c.Released is not null) && cases[^1].Repeats == 2, "all crashes are in a case, or counted in the last one of the day");
        Assert.Equal(2, qemu.WholeDumps);
        Assert.All(_lab.Cases.Skip(2), c => Assert.StartsWith("brake: 2 within the last hour", c.Memory!.Reason, StringComparison.Ordinal));
    }

    [Fact]
    public void A_guest_whose_own_kdump_is_at_work_is_left_alone()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start();
        _lab.AwaitConnected(qemu);
        int before = qemu.Commands.Count;
        qemu.SendEvent("GUEST_CRASHLOADED", """{"action": "run"}""");
        CaseEvent e = _lab.AwaitCase(c => c.Memory is not null, "the case of the kdump");
        Assert.Equal((CaseKinds.Kdump, MemoryTaken.None, null, null), (e.Kind, e.Memory!.Taken, e.Action, e.Released));
        Thread.Sleep(1500);
        Assert.Equal(["query-status"], qemu.Commands.Skip(before).Select(c => (string)c["execute"]!).Distinct());
    }

    [Theory]
    [InlineData(CrashAction.Reset, "system_reset", "running")]
    [InlineData(CrashAction.Stop, "stop", "guest-panicked")]
    public void What_is_done_with_the_guest_is_as_configured(CrashAction action, string command, string state)
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start(o => o with { Memory = MemoryPolicy.None }, more: o => o with { Guests = [new GuestOptions("web1") { Action = action }] });
        _lab.AwaitConnected(qemu);
        qemu.Panic();
        CaseEvent e = _lab.AwaitCase(c => c.Action is not null && (c.Released is not null || action == CrashAction.Stop), "the action");
        Thread.Sleep(1500);
        Assert.Equal(state, qemu.State);
        Assert.Equal(action == CrashAction.Reset ? 1 : 0, qemu.Count(command));
        Assert.Equal((0, MemoryTaken.None), (qemu.WholeDumps, e.Memory!.Taken));
        Assert.Single(_lab.Cases);
    }

    [Fact]
    public void A_machine_that_does_not_stop_at_its_panic_is_paused_for_its_memory()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        qemu.StopsAtPanic = false;
        _lab.Start();
        _lab.AwaitConnected(qemu);
        qemu.Panic();
        CaseEvent e = _lab.AwaitCase(c => c.Released is not null, "the case");
        Assert.Equal(MemoryTaken.Full, e.Memory!.Taken);
        Assert.True(qemu.Commands.ToList().FindIndex(c => (string)c["execute"]! == "stop") is >= 0 and int stop
            && stop < qemu.Commands.ToList().FindIndex(c => (string)c["execute"]! == "dump-guest-memory"));
        Assert.Equal("running", qemu.State);
    }

    [Fact]
    public void A_disk_that_is_full_in_the_middle_leaves_no_file_and_says_why_and_the_guest_goes_on()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        qemu.DumpError = "dump: failed to save memory: No space left on device";
        _lab.Start();
        _lab.AwaitConnected(qemu);
        qemu.Panic();
        CaseEvent e = _lab.AwaitCase(c => c.Released is not null, "the case");
        Assert.Equal((MemoryTaken.None, null), (e.Memory!.Taken, e.Memory.Format));
        Assert.Contains("No space left on device", e.Memory.Reason, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_lab.FolderOf(e), "vmcore*"));
        Assert.Equal("running", qemu.State);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void A_dump_that_does_not_end_is_given_up_and_the_guest_goes_on_once_QEMU_lets_it()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        qemu.DumpTime = TimeSpan.FromSeconds(15);
        _lab.Start(o => o with { MaxPause = TimeSpan.FromSeconds(1) });
        _lab.AwaitConnected(qemu);
        qemu.Panic();
        CaseEvent e = _lab.AwaitCase(c => c.Released is not null, "the guest goes on", seconds: 40);
        Assert.Contains("the dump had not ended after 11s", e.Memory!.Reason, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_lab.FolderOf(e), "vmcore*"));
        Assert.True(qemu.Count("cont") > 1);
    }

    [Fact]
    public void A_guest_that_is_too_large_for_the_pause_or_the_disk_is_not_dumped_as_a_whole()
    {
        using FakeQmpServer large = new(_lab.SocketOf("large")) { MemoryBytes = 64L << 30 };
        using FakeQmpServer huge = new(_lab.SocketOf("huge")) { MemoryBytes = 1L << 50 };
        _lab.Start(more: o => o with { Guests = [new GuestOptions("huge") { Memory = MemoryPolicy.Full }] });
        _lab.AwaitConnected(large);
        _lab.AwaitConnected(huge);
        large.Panic();
        huge.Panic();
        CaseEvent ofLarge = _lab.AwaitCase(c => c is { Guest: "large", Released: not null }, "the large one's case");
        CaseEvent ofHuge = _lab.AwaitCase(c => c is { Guest: "huge", Released: not null }, "the huge one's case");
        Assert.Contains("MaxPause is 10s", ofLarge.Memory!.Reason, StringComparison.Ordinal);
        Assert.Contains("all of its memory may take 1.1 PiB", ofHuge.Memory!.Reason, StringComparison.Ordinal);
        Assert.Equal((0, 0), (large.WholeDumps, huge.WholeDumps));
        Assert.Equal(("running", "running"), (large.State, huge.State));
    }

    [Fact]
    public void Dumps_of_two_guests_are_one_after_the_other()
    {
        using FakeQmpServer first = _lab.StartQemu("web1");
        using FakeQmpServer second = _lab.StartQemu("web2");
        first.DumpTime = second.DumpTime = TimeSpan.FromSeconds(1);
        _lab.Start();
        _lab.AwaitConnected(first);
        _lab.AwaitConnected(second);
        first.Panic();
        second.Panic();
        int overlaps = 0;
        TestStore.Await(() =>
        {
            overlaps += _lab.Cases.Count == 2 && Directory.GetFiles(StorePaths.Cases(_lab.Store), "vmcore.partial", SearchOption.AllDirectories).Length > 1 ? 1 : 0;
            return _lab.Cases is { Count: 2 } cases && cases.All(c => c.Released is not null);
        }, "both go on");
        Assert.Equal(0, overlaps);
        Assert.All(_lab.Cases, c => Assert.Equal(MemoryTaken.Full, c.Memory!.Taken));
    }

    [Fact]
    public void A_QEMU_that_ends_with_its_panic_leaves_a_case_that_says_what_it_takes()
    {
        FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start(times: new() { Orphan = TimeSpan.FromSeconds(1) });
        _lab.AwaitConnected(qemu);
        qemu.Instead["query-status"] = "";
        qemu.Panic();
        qemu.SendEvent("SHUTDOWN", """{"guest": true, "reason": "guest-panic"}""");
        qemu.Dispose();
        CaseEvent e = _lab.AwaitCase(c => c.Memory is not null, "the case");
        Assert.Equal((CaseKinds.Panic, MemoryTaken.None, null), (e.Kind, e.Memory!.Taken, e.Action));
        Assert.Contains("-action panic=pause", e.Memory.Reason, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(StorePaths.Identity(_lab.Store), "web1.json")));
    }

    [Fact]
    public void An_operators_program_gets_the_finished_case_on_its_standard_input()
    {
        string got = Path.Combine(_lab.Root, "got.json");
        string program = Path.Combine(_lab.Root, "tell.sh");
        File.WriteAllText(program, $"#!/bin/sh\ncat > {got}.new && mv {got}.new {got}\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start(o => o with { Exec = program, WaitForBoot = TimeSpan.FromSeconds(1) }, new() { TryAgain = TimeSpan.FromMilliseconds(100) });
        _lab.AwaitConnected(qemu);
        qemu.Panic();
        TestStore.Await(() => File.Exists(got), "the program has run");
        JsonNode report = JsonNode.Parse(File.ReadAllText(got))!;
        CaseEvent e = Assert.Single(_lab.Cases);
        Assert.NotNull(e.Announced);
        Assert.Equal(_lab.FolderOf(e), (string?)report["folder"]);
        Assert.Equal(e.Id, (string?)report["event"]!["id"]);
        Assert.Equal("full", (string?)report["event"]!["memory"]!["taken"]);
    }
}
