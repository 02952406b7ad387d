using System.Text.Json;
using VsockPair.Listening;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Commands;

/// <summary><c>guests NAME</c>: would a crash be caught?</summary>
public sealed class CrashReadinessTests : IDisposable
{
    private static readonly CheckRecord[] AllWell = [.. new[] { "pvpanic", "pstore", "persistent-ring", "btf" }.Select(c => new CheckRecord(c, true, "there", ""))];
    private static readonly CheckRecord[] HostWell = [new(HostChecks.PanicAction, true, "pause", ""), new(HostChecks.Disk, true, "room", "")];

    private readonly SampleStore _store = new();

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task All_well_is_a_yes_and_nothing_more()
    {
        string[] lines = await LinesAsync(AllWell, HostWell);
        Assert.Equal(["crash caught    yes: the host is told and takes the memory; log and trace go on to the last event"], lines);
    }

    [Fact]
    public async Task Without_the_crash_service_there_is_no_memory_and_a_command_to_type()
    {
        string[] lines = await LinesAsync(AllWell, host: null);
        Assert.Equal("crash caught    in part: no memory, the last messages survive the reboot, the last events survive the reboot; 1 thing is missing", lines[0]);
        Assert.StartsWith("missing         host watch: no watch service is looking at this guest", lines[1], StringComparison.Ordinal);
        Assert.Contains("vsockpair watch --qmp web1=", lines[1], StringComparison.Ordinal);
        Assert.Equal(2, lines.Length);
    }

    [Fact]
    public async Task What_the_guest_lacks_is_escaped_and_has_its_command()
    {
        CheckRecord[] told = [new("panic-timeout", false, "kernel.panic is 0\u001b[2J", "sysctl -w kernel.panic=10"), .. AllWell];
        string[] lines = await LinesAsync(told, HostWell);
        Assert.Equal("crash caught    in part: the host takes the memory, the last messages survive the reboot, the last events survive the reboot; 1 thing is missing", lines[0]);
        Assert.Equal("missing         guest panic-timeout: kernel.panic is 0\\x1b[2J; to mend it: sysctl -w kernel.panic=10", lines[1]);
    }

    [Theory]
    [InlineData(HostChecks.PanicAction)]
    [InlineData(HostChecks.Disk)]
    public async Task A_host_that_cannot_hold_the_machine_or_its_dump_has_no_memory(string check)
    {
        CheckRecord[] host = [.. HostWell.Where(c => c.Check != check), new(check, false, "no", "mend")];
        Assert.StartsWith("crash caught    in part: no memory, ", (await LinesAsync(AllWell, host))[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_left_is_a_no()
    {
        CheckRecord[] told = [new("pvpanic", false, "no device", "add one"), new("pstore", false, "none", "add"), new("persistent-ring", null, "older kernel", "")];
        Assert.Equal("crash caught    no: nothing but what was streamed before is kept; 2 things are missing", (await LinesAsync(told, HostWell))[0]);
    }

    [Fact]
    public async Task An_agent_that_does_not_tell_is_not_known()
    {
        string[] lines = await LinesAsync(told: null, HostWell);
        Assert.Equal(["crash caught    not known: this guest's agent has not told whether it is ready"], lines);
    }

    [Fact]
    public async Task Json_has_the_verdict_and_every_check()
    {
        await LinesAsync(AllWell, host: null);
        JsonElement crash = JsonDocument.Parse((await _store.RunAsync("guests", "web1", "--json")).Output).RootElement.GetProperty("crash");
        Assert.Equal("partly", crash.GetProperty("verdict").GetString());
        Assert.Equal(["host", "guest", "guest", "guest", "guest"], crash.GetProperty("checks").EnumerateArray().Select(c => c.GetProperty("side").GetString()));
        Assert.False(JsonDocument.Parse((await _store.RunAsync("guests", "--json")).Output).RootElement[0].TryGetProperty("crash", out _));
    }

    private async Task<string[]> LinesAsync(CheckRecord[]? told, CheckRecord[]? host)
    {
        _store.AddGuest("web1", []);
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        string record = StorePaths.BootRecord(_store.BootFolder(SampleStore.NewBoot));
        BootRecord boot = DurableFile.TryRead(record, StoreJson.Default.BootRecord)!;
        DurableFile.Replace(record, boot with { Readiness = told }, StoreJson.Default.BootRecord);
        Directory.CreateDirectory(StorePaths.Identity(_store.Root));
        DurableFile.Replace(
            Path.Combine(StorePaths.Identity(_store.Root), "web1.json"), new IdentityRecord { Name = "web1", Host = host }, IdentityJson.Default.IdentityRecord);
        string output = (await _store.RunAsync("guests", "web1")).Output;
        return [.. output.Split('\n').Where(l => l.StartsWith("crash", StringComparison.Ordinal) || l.StartsWith("missing", StringComparison.Ordinal))];
    }
}
