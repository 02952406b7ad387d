using System.Text.Json.Nodes;
using VsockPair.Cases;
using VsockPair.Commands;
using VsockPair.Functional.Tests.Collector;
using VsockPair.Listening;
using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.TestKit.Qmp;
using VsockPair.Watch;

namespace VsockPair.Functional.Tests.Watch;

/// <summary>What people and programs are told: watch.sock, the commands, identity/.</summary>
public sealed class WatchSocketTests : IDisposable
{
    private readonly WatchLab _lab = new();

    public void Dispose() => _lab.Dispose();

    [Fact]
    public async Task Machines_come_and_go_and_are_published_while_they_are_there()
    {
        Directory.CreateDirectory(StorePaths.Identity(_lab.Store));
        _lab.Start();
        Assert.Empty(_lab.Status().Machines);
        FakeQmpServer qemu = new(_lab.SocketOf("web1")) { Cid = 42, Uuid = "6f1d0c3a-7f0e-4a55-9d0e-3d8f0a1b2c3d" };
        TestStore.Await(() => Identity("web1") is not null, "it is published");
        IdentityRecord identity = Identity("web1")!;
        Assert.Equal(("web1", 42u, new Guid("6f1d0c3a-7f0e-4a55-9d0e-3d8f0a1b2c3d"), $"qmp:{_lab.SocketOf("web1")}"), (identity.Name, identity.Cid!.Value, identity.Uuid!.Value, identity.Source));
        Assert.Equal(["panic-action", "pvpanic-device", "vmcoreinfo", "disk"], identity.Host!.Select(c => c.Check));
        Assert.Equal(["pvpanic"], new IdentityMap(new CollectorOptions { StoreDirectory = _lab.Store, Guests = [new GuestOptions("pvpanic") { Uuid = identity.Uuid }] }).Resolve(42) is { Name: string name } ? [name] : Array.Empty<string>());

        // Lost, found again.
        qemu.Disconnect();
        TestStore.Await(() => qemu.Connections == 2 && Identity("web1") is not null, "it is connected again");
        MachineStatus status = _lab.Status().Machines.Single();
        Assert.Equal(("web1", "running"), (status.Name, status.State));
        Assert.NotNull(status.ConnectedSince);

        qemu.Dispose();
        TestStore.Await(() => Identity("web1") is null && _lab.Status().Machines.Count == 0, "it is gone");
        Assert.Equal(0, await _lab.StopAsync());
        Assert.False(File.Exists(StorePaths.WatchSocket(_lab.Store)));
    }

    [Fact]
    public void What_an_earlier_watch_has_published_goes_when_its_machine_is_not_found()
    {
        string stale = Path.Combine(StorePaths.Identity(_lab.Store), "old.json");
        Directory.CreateDirectory(StorePaths.Identity(_lab.Store));
        File.WriteAllText(stale, """{"name":"old","cid":9}""");
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start();
        TestStore.Await(() => !File.Exists(stale), "it is gone");
        Assert.NotNull(Identity("web1"));
    }

    [Fact]
    public async Task Events_are_told_as_they_happen()
    {
        using FakeQmpServer qemu = _lab.StartQemu();
        _lab.Start(o => o with { WaitForBoot = TimeSpan.FromSeconds(1) }, new() { TryAgain = TimeSpan.FromMilliseconds(100) });
        _lab.AwaitConnected(qemu);
        using IEnumerator<string> lines = ControlSocket.AskLines(StorePaths.WatchSocket(_lab.Store), "{\"command\":\"events\"}"u8.ToArray(), TimeSpan.FromSeconds(30)).GetEnumerator();
        Task<List<JsonNode>> listening = Task.Run(() =>
        {
            List<JsonNode> events = [];
            while (events.Count < 4 && lines.MoveNext())
            {
                events.Add(JsonNode.Parse(lines.Current)!);
            }
            return events;
        });
        Thread.Sleep(500);
        qemu.Panic();
        List<JsonNode> told = await listening;
        Assert.Equal(["case-opened", "case-memory", "case-released", "case-closed"], told.Select(e => (string?)e["event"]));
        Assert.All(told, e => Assert.Equal("web1", (string?)e["guest"]));
        Assert.Equal("full", (string?)told[1]["case"]!["memory"]!["taken"]);
    }

    [Fact]
    public void An_operator_takes_the_memory_of_a_guest_that_runs()
    {
        using FakeQmpServer qemu = new(_lab.SocketOf("web1")) { MemoryBytes = 512 << 20, DumpTime = TimeSpan.FromSeconds(1) };
        _lab.Start();
        _lab.AwaitConnected(qemu);
        (int unasked, _, string question) = _lab.Run("dump", "web1");
        Assert.Equal(ExitCode.Usage, unasked);
        Assert.Contains("web1 has 512 MiB of memory and will stand still for about 2 s. Nobody can be asked here: --yes", question, StringComparison.Ordinal);
        Assert.Equal(0, qemu.WholeDumps);

        (int code, string text, string error) = _lab.Run("dump", "web1", "--yes");
        Assert.True(code == 0, error + _lab.Output);
        CaseEvent e = Assert.Single(_lab.Cases);
        Assert.Equal((CaseKinds.Dump, MemoryTaken.Full, null, null), (e.Kind, e.Memory!.Taken, e.Action, e.Released));
        Assert.Contains($"{e.Id}: full memory (elf), web1 stood still for", text, StringComparison.Ordinal);
        Assert.Equal(qemu.DumpContent, File.ReadAllBytes(Path.Combine(_lab.FolderOf(e), "vmcore")));
    }

    [Fact]
    public void A_dump_that_cannot_be_says_why()
    {
        using FakeQmpServer qemu = new(_lab.SocketOf("web1")) { State = "internal-error", MemoryBytes = 1 << 20 };
        Assert.Contains("vsockpair watch is not running on this store", _lab.Run("dump", "web1", "--yes").Error, StringComparison.Ordinal);
        _lab.Start();
        _lab.AwaitConnected(qemu);
        (int code, _, string error) = _lab.Run("dump", "nobody", "--yes");
        Assert.Equal((1, true), (code, error.Contains("not connected to a machine of that name", StringComparison.Ordinal)));
        Assert.Contains("neither runs nor is it paused", _lab.Run("dump", "web1", "--yes").Error, StringComparison.Ordinal);
        Assert.Empty(_lab.Cases);
    }

    [Fact]
    public void What_cannot_be_watched_is_said_at_once()
    {
        Assert.Equal((ExitCode.Usage, true), Said("which machines?", "watch"));
        Assert.Equal((ExitCode.Usage, true), Said("qemu+ssh://other/system is on another host", "watch", "--libvirt", "qemu+ssh://other/system"));
        Assert.Equal((ExitCode.Usage, true), Said("does not say which guest's socket it is", "watch", "--qmp", "/run/qmp.sock"));
        Assert.Equal((ExitCode.Usage, true), Said("has no place for the guest's name", "watch", "--qmp-dir", "/run/qmp.sock"));

        (int, bool) Said(string what, params string[] arguments)
        {
            (int code, _, string error) = _lab.Run(arguments);
            return (code, error.Contains(what, StringComparison.Ordinal));
        }
    }

    private IdentityRecord? Identity(string name) =>
        DurableFile.TryRead(Path.Combine(StorePaths.Identity(_lab.Store), name + ".json"), IdentityJson.Default.IdentityRecord);
}
