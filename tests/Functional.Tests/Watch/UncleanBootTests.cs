using VsockPair.Cases;
using VsockPair.Functional.Tests.Collector;
using VsockPair.Storage;
using VsockPair.TestKit.Qmp;

namespace VsockPair.Functional.Tests.Watch;

/// <summary>What is seen in the store: boots that ended without a word, and the boot after a crash.</summary>
public sealed class UncleanBootTests : IDisposable
{
    private static readonly DateTimeOffset Now = DateTimeOffset.UtcNow;

    private readonly WatchLab _lab = new();

    public void Dispose() => _lab.Dispose();

    [Theory]
    [InlineData("superseded", CaseKinds.Reset)]
    [InlineData("lost", CaseKinds.Reset)]
    [InlineData("closed", CaseKinds.Reset)]
    [InlineData(null, CaseKinds.Reset)]
    [InlineData("goodbye", null)]
    [InlineData("stopped", null)]
    public void A_boot_that_ended_without_goodbye_before_another_is_a_case(string? reason, string? kind)
    {
        string dead = Boot(Now.AddMinutes(-10), Now.AddMinutes(-2), reason);
        Boot(Now.AddMinutes(-1), null, null);
        // Long ago: a store that is older than its crash service.
        Boot(Now.AddDays(-3), Now.AddDays(-2), "lost");
        Boot(Now.AddDays(-2), Now.AddDays(-1), "goodbye");
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start(times: new() { Scan = TimeSpan.FromMilliseconds(200), TryAgain = TimeSpan.FromMilliseconds(100) });
        Thread.Sleep(1500);
        if (kind is null)
        {
            Assert.Empty(_lab.Cases);
            return;
        }
        CaseEvent e = _lab.AwaitCase(c => c.Announced is not null, "the case is closed", seconds: 90);
        Assert.Equal((kind, dead, "store", MemoryTaken.None), (e.Kind, e.Boot, e.Source, e.Memory!.Taken));
        Assert.Single(_lab.Cases);
    }

    [Fact]
    public void A_panic_is_of_the_boot_that_runs_and_is_closed_once_the_next_one_has_settled()
    {
        string dead = Boot(Now.AddMinutes(-10), null, null);
        using FakeQmpServer qemu = _lab.StartQemu();
        // The test's own process is taken for the VMM, and it began after that boot.
        _lab.Start(times: new() { Scan = TimeSpan.FromMilliseconds(200), Settle = TimeSpan.FromSeconds(2), TryAgain = TimeSpan.FromMilliseconds(100) });
        _lab.AwaitConnected(qemu);
        qemu.Reset();
        string running = Boot(DateTimeOffset.UtcNow.AddSeconds(1), null, null);
        Thread.Sleep(500);
        qemu.Panic();
        CaseEvent e = _lab.AwaitCase(c => c.Kind == CaseKinds.Panic && c.Released is not null, "the case");
        Assert.Equal(running, e.Boot);
        Thread.Sleep(1500);
        Assert.Null(_lab.Cases.Single(c => c.Id == e.Id).Announced);
        Boot(DateTimeOffset.UtcNow.AddSeconds(1), null, null);
        CaseEvent closed = _lab.AwaitCase(c => c.Id == e.Id && c.Announced is not null, "the case is closed");
        Assert.InRange(closed.Announced!.Value - e.Released!.Value, TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(20));
        // The boot before the reset, of which nobody told anything.
        TestStore.Await(() => _lab.Cases.Count == 2, "the reset is a case, too");
        Assert.Equal([(CaseKinds.Reset, dead), (CaseKinds.Panic, running)], _lab.Cases.Select(c => (c.Kind, c.Boot!)).OrderByDescending(c => c.Kind));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_guest_that_is_silent_while_its_machine_runs_hangs_where_the_rule_is_on(bool isOn)
    {
        string boot = Boot(DateTimeOffset.UtcNow.AddSeconds(1), Now, "lost");
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start(o => o with { HangAfter = isOn ? TimeSpan.FromSeconds(2) : TimeSpan.Zero });
        _lab.AwaitConnected(qemu);
        if (!isOn)
        {
            qemu.SendEvent("WATCHDOG", """{"action": "none"}""");
            Thread.Sleep(4000);
            Assert.Empty(_lab.Cases);
            return;
        }
        CaseEvent e = _lab.AwaitCase(c => c.Released is not null, "the hang");
        Assert.Equal((CaseKinds.Hang, boot, MemoryTaken.Full, "running"), (e.Kind, e.Boot, e.Memory!.Taken, qemu.State));
        Assert.Contains("has not been heard of for", e.Detail, StringComparison.Ordinal);
        Thread.Sleep(3000);
        Assert.Single(_lab.Cases);
    }

    private string Boot(DateTimeOffset started, DateTimeOffset? ended, string? reason)
    {
        BootRecord record = new()
        {
            BootId = Guid.NewGuid(), Kernel = "6.12", Clock = "boot", SubBufferBytes = 4096, Cpus = 1, AgentVersion = "0.1.0", Session = Guid.NewGuid(), Started = started, Ended = ended, EndReason = reason,
        };
        string folder = StorePaths.Boot(StorePaths.Guest(_lab.Store, "web1"), record.BootId, 0);
        Directory.CreateDirectory(folder);
        DurableFile.Replace(StorePaths.BootRecord(folder), record, StoreJson.Default.BootRecord);
        return Path.GetFileName(folder);
    }
}
