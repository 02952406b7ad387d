using VsockPair.Cases;
using VsockPair.Functional.Tests.Collector;
using VsockPair.TestKit.Qmp;

namespace VsockPair.Functional.Tests.Watch;

/// <summary>The real program, killed at moments that hurt: the next start finds the guest as it stands, and its case as far as it was.</summary>
public sealed class WatchKillTests : IDisposable
{
    private readonly WatchLab _lab = new();

    public void Dispose() => _lab.Dispose();

    [Fact]
    public void A_panic_while_nobody_watches_becomes_a_case_and_the_guest_goes_on()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.StartProcess();
        _lab.AwaitConnected(qemu);
        _lab.KillProcess();
        Assert.Equal("pause", qemu.PanicAction);
        qemu.Panic();
        DateTimeOffset start = DateTimeOffset.UtcNow;
        _lab.StartProcess();
        CaseEvent e = _lab.AwaitCase(c => c.Released is not null, "the guest goes on");
        Assert.InRange(e.Released!.Value - start, TimeSpan.Zero, TimeSpan.FromSeconds(15));
        Assert.Equal((CaseKinds.Panic, MemoryTaken.Full), (e.Kind, e.Memory!.Taken));
        Assert.Equal("running", qemu.State);
        Assert.Equal(0, _lab.TerminateProcess());
        Assert.Equal("shutdown", qemu.PanicAction);
    }

    [Fact]
    public void Killed_in_the_middle_of_a_dump_it_takes_the_memory_again_and_once_only()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        qemu.DumpTime = TimeSpan.FromSeconds(3);
        _lab.StartProcess();
        _lab.AwaitConnected(qemu);
        qemu.Panic();
        TestStore.Await(() => qemu.WholeDumps == 1, "the dump has begun");
        _lab.KillProcess();
        CaseEvent left = Assert.Single(_lab.Cases);
        Assert.Equal((1, null, null), (left.Attempts, left.Memory, left.Released));
        _lab.StartProcess();
        TestStore.Await(() => qemu.WholeDumps == 2, $"the dump is begun again\n{_lab.Output}");
        _lab.KillProcess();
        qemu.DumpTime = TimeSpan.FromMilliseconds(50);
        DateTimeOffset start = DateTimeOffset.UtcNow;
        _lab.StartProcess();
        CaseEvent e = _lab.AwaitCase(c => c.Released is not null, "the guest goes on");
        Assert.InRange(e.Released!.Value - start, TimeSpan.Zero, TimeSpan.FromSeconds(15));
        Assert.Equal((left.Id, 2, MemoryTaken.None, "watch has died 2 times while it was taken"), (e.Id, e.Attempts, e.Memory!.Taken, e.Memory.Reason));
        Assert.Single(_lab.Cases);
        Assert.Equal((2, "running"), (qemu.WholeDumps, qemu.State));
        Assert.Empty(Directory.GetFiles(_lab.FolderOf(e), "vmcore"));
    }

    [Fact]
    public void Killed_again_and_again_at_any_moment_every_panic_is_a_case_and_no_guest_stays_held()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        qemu.DumpTime = TimeSpan.FromMilliseconds(300);
        Random random = new(7);
        HashSet<string> seen = [];
        for (int round = 0; round < 6; round++)
        {
            int asked = qemu.Count("query-status");
            _lab.StartProcess();
            TestStore.Await(() => qemu.Count("query-status") > asked + 1, $"watch looks at the machine\n{_lab.Output}");
            qemu.Panic();
            Thread.Sleep(random.Next(0, 700));
            _lab.KillProcess();
            _lab.StartProcess();
            TestStore.Await(() => qemu.State == "running", $"the guest goes on in round {round}\n{_lab.Output}", seconds: 15);
            TestStore.Await(() => _lab.Cases.Any(c => !seen.Contains(c.Id)) && _lab.Cases.All(c => c.Released is not null && c.Memory is not null), $"its case is through in round {round}: {string.Join(", ", _lab.Cases)}\n{_lab.Output}");
            seen.UnionWith(_lab.Cases.Select(c => c.Id));
            _lab.KillProcess();
            qemu.Reset();
        }
        Assert.InRange(_lab.Cases.Count, 6, 12);
    }

    [Fact]
    public void A_stop_in_good_order_waits_for_a_dump_and_lets_the_guest_go()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        qemu.DumpTime = TimeSpan.FromSeconds(2);
        _lab.StartProcess();
        _lab.AwaitConnected(qemu);
        qemu.Panic();
        TestStore.Await(() => qemu.WholeDumps == 1, "the dump has begun");
        Assert.Equal(0, _lab.TerminateProcess());
        CaseEvent e = Assert.Single(_lab.Cases);
        Assert.Equal((MemoryTaken.Full, "continue"), (e.Memory!.Taken, e.Action));
        Assert.NotNull(e.Released);
        Assert.Equal(("running", "shutdown"), (qemu.State, qemu.PanicAction));
    }

    [Fact]
    public void Two_crash_services_do_not_work_on_one_store()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.StartProcess();
        _lab.AwaitConnected(qemu);
        (int code, _, string error) = _lab.Run("watch", "--qmp", $"web1={_lab.SocketOf("web1")}");
        Assert.Equal(1, code);
        Assert.Contains("another vsockpair watch works on this store", error, StringComparison.Ordinal);
    }
}
