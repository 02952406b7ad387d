using System.Text.Json.Nodes;
using VsockPair.Linux;
using VsockPair.TestKit.Qmp;
using VsockPair.Watch;

namespace VsockPair.HostCollector.Tests.Watch;

/// <summary>One connection to a QEMU that is none.</summary>
public sealed class QmpMachineTests : IDisposable
{
    private static readonly string[] Allowed =
    [
        "qmp_capabilities", "query-status", "query-uuid", "query-memory-size-summary", "qom-get", "qom-list", "set-action", "query-dump-guest-memory-capability", "query-dump",
        "getfd", "dump-guest-memory", "stop", "cont", "system_reset",
    ];

    private static readonly CancellationToken NoStop = CancellationToken.None;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vpq");

    private string Path => System.IO.Path.Combine(_folder.FullName, "q.sock");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task A_machine_tells_who_it_is_and_is_made_to_pause_at_a_panic_until_it_is_left()
    {
        using FakeQmpServer qemu = new(Path) { Uuid = "6f1d0c3a-7f0e-4a55-9d0e-3d8f0a1b2c3d", Cid = 42, MemoryBytes = 8L << 30 };
        await using QmpMachine machine = await ConnectAsync();
        Assert.Equal("web1", machine.Identity.Name);
        Assert.Equal(new Guid("6f1d0c3a-7f0e-4a55-9d0e-3d8f0a1b2c3d"), machine.Identity.Uuid);
        Assert.Equal(42u, machine.Identity.Cid);
        Assert.Equal($"qmp:{Path}", machine.Identity.Source);
        // This process is the one that listens.
        Assert.InRange(machine.Identity.Started!.Value, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow);
        Assert.Equal(8L << 30, await machine.QueryMemoryBytesAsync(NoStop));
        Assert.All(machine.Checks, c => Assert.True(c.Ok, c.Text));
        Assert.Equal("pause", qemu.PanicAction);
        await machine.LeaveAsync(NoStop);
        Assert.Equal("shutdown", qemu.PanicAction);
    }

    [Fact]
    public async Task Only_the_allowed_commands_are_ever_sent_and_paging_is_never_asked_for()
    {
        using FakeQmpServer qemu = new(Path) { Cid = 3 };
        await using QmpMachine machine = await ConnectAsync();
        using Fd file = Open("core");
        await machine.QueryMemoryBytesAsync(NoStop);
        await machine.DumpAsync(file, "core", new MemoryCapture.Progress(_ => { }), NoStop);
        await machine.ReadNotesAsync(NoStop);
        Assert.False(await machine.ReadMemoryAsync(1 << 20, new byte[4096], NoStop));
        await machine.PauseAsync(NoStop);
        await machine.ContinueAsync(NoStop);
        await machine.ResetAsync(NoStop);
        await machine.LeaveAsync(NoStop);
        Assert.Equal(Allowed.Order(), qemu.Commands.Select(c => (string)c["execute"]!).Distinct().Order());
        Assert.All(qemu.Commands.Where(c => (string)c["execute"]! == "dump-guest-memory"), c => Assert.False((bool)c["arguments"]!["paging"]!));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_dump_takes_the_best_format_that_is_offered_and_writes_into_the_callers_file(bool hasRaw)
    {
        using FakeQmpServer qemu = new(Path) { Formats = hasRaw ? ["elf", "kdump-zlib", "kdump-raw-zlib", "win-dmp"] : ["elf", "kdump-zlib", "win-dmp"], DumpTime = TimeSpan.FromMilliseconds(300) };
        await using QmpMachine machine = await ConnectAsync();
        List<(long Done, long Total)> steps = [];
        using (Fd file = Open("core"))
        {
            Assert.Equal(hasRaw ? MemoryFormat.Kdump : MemoryFormat.Elf, await machine.DumpAsync(file, "core", new MemoryCapture.Progress(steps.Add), NoStop));
        }
        Assert.Equal(qemu.DumpContent, File.ReadAllBytes(System.IO.Path.Combine(_folder.FullName, "core")));
        Assert.Contains((0, qemu.MemoryBytes), steps);
        Assert.Equal((qemu.MemoryBytes, qemu.MemoryBytes), steps[^1]);
        JsonNode arguments = qemu.Commands.Single(c => (string)c["execute"]! == "dump-guest-memory")["arguments"]!;
        Assert.Equal(hasRaw ? "kdump-raw-zlib" : "elf", (string)arguments["format"]!);
        Assert.True((bool)arguments["detach"]!);
        Assert.Equal("fd:vsockpair", (string)arguments["protocol"]!);
    }

    [Fact]
    public async Task A_dump_that_fails_says_what_QEMU_said()
    {
        using FakeQmpServer qemu = new(Path) { DumpError = "dump: failed to save memory: No space left on device" };
        await using QmpMachine machine = await ConnectAsync();
        using Fd file = Open("core");
        MachineException e = await Assert.ThrowsAsync<MachineException>(() => machine.DumpAsync(file, "core", new MemoryCapture.Progress(_ => { }), NoStop));
        Assert.Contains("No space left on device", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_refusal_keeps_the_connection_and_a_QEMU_without_set_action_is_watched_all_the_same()
    {
        using FakeQmpServer qemu = new(Path);
        qemu.Instead["set-action"] = """{"id": $id, "error": {"class": "CommandNotFound", "desc": "The command set-action has not been found"}}""" + "\n";
        await using QmpMachine machine = await ConnectAsync();
        Assert.Equal(MachineState.Running, await machine.QueryStateAsync(NoStop));
        Assert.Contains(machine.Checks, c => c is { Check: "panic-action", Ok: false } && c.Text.Contains("has not been found", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_second_client_of_a_socket_is_told_to_take_another()
    {
        using FakeQmpServer qemu = new(Path);
        await using QmpMachine first = await ConnectAsync();
        MachineException e = await Assert.ThrowsAsync<MachineException>(ConnectAsync);
        Assert.Contains("another client", e.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Nonsense => new()
    {
        { "not JSON\n", "not QMP" },
        { "{\"return\": " + new string('[', 100) + "\n", "not QMP" },
        { new string('x', QmpClient.MaxLineBytes + 1), "a line of more than" },
    };

    [Theory]
    [MemberData(nameof(Nonsense))]
    public async Task Nonsense_ends_the_connection_with_a_reason(string nonsense, string reason)
    {
        using FakeQmpServer qemu = new(Path);
        await using QmpMachine machine = await ConnectAsync();
        qemu.Instead["query-status"] = "";
        Task<MachineState> asked = machine.QueryStateAsync(NoStop);
        qemu.SendText(nonsense);
        MachineException e = await Assert.ThrowsAsync<MachineException>(() => asked);
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.True(machine.Events.Completion.IsCompleted);
    }

    [Fact]
    public async Task An_answer_that_does_not_come_ends_the_command_alone()
    {
        using FakeQmpServer qemu = new(Path);
        await using QmpMachine machine = await ConnectAsync();
        qemu.Instead["query-status"] = "";
        MachineException e = await Assert.ThrowsAsync<MachineException>(() => machine.QueryStateAsync(NoStop));
        Assert.Contains("query-status: no answer within 5 s", e.Message, StringComparison.Ordinal);
        qemu.Instead.Clear();
        Assert.Equal(MachineState.Running, await machine.QueryStateAsync(NoStop));
    }

    [Theory]
    [InlineData("""{"return": {}, "id": $id}""")]
    [InlineData("""{"return": {"status": null}, "id": $id}""")]
    [InlineData("""{"return": [1], "id": $id}""")]
    [InlineData("""{"return": {"status": {"status": "running"}}, "id": $id}""")]
    public async Task An_answer_of_another_shape_is_an_error_and_no_more(string answer)
    {
        using FakeQmpServer qemu = new(Path);
        await using QmpMachine machine = await ConnectAsync();
        qemu.Instead["query-status"] = answer + "\n";
        await Assert.ThrowsAsync<MachineException>(() => machine.QueryStateAsync(NoStop));
    }

    [Fact]
    public async Task Every_event_is_counted_also_when_they_come_faster_than_anybody_looks()
    {
        using FakeQmpServer qemu = new(Path);
        await using QmpMachine machine = await ConnectAsync();
        MachineInbox inbox = new();
        Task pump = inbox.PumpAsync(machine.Events);
        qemu.Panic(10_000);
        qemu.Reset();
        qemu.Panic(3);
        Assert.Equal(MachineState.Panicked, await machine.QueryStateAsync(NoStop));
        inbox.TakeFrom(machine.Events);
        Assert.Equal([(MachineEventKind.Panicked, 10_000L), (MachineEventKind.Reset, 1L), (MachineEventKind.Panicked, 3L)], inbox.Take().Select(r => (r.Kind, r.Count)));
        qemu.Dispose();
        await pump;
    }

    private Task<QmpMachine> ConnectAsync() => QmpMachine.ConnectAsync("web1", Path, TimeProvider.System, NoStop);

    private Fd Open(string name)
    {
        string path = System.IO.Path.Combine(_folder.FullName, name);
        return Fd.Own(Sys.Open(path, Constants.O_RDWR | Constants.O_CREAT, 0x180), "open", path);
    }
}
