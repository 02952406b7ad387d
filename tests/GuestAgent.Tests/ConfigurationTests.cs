using System.Collections;
using VsockPair.GuestAgent.Configuration;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tests;

public sealed class ConfigurationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("agent-config-").FullName;

    private string Main => Path.Combine(_folder, "agent.conf");

    [Fact]
    public void Defaults_hold_when_nothing_is_configured()
    {
        AgentOptions options = Parse().Options;

        Assert.Equal(new VsockAddress(2, 829), options.Host);
        Assert.Null(options.BufferKb);
        Assert.Equal(TimeSpan.FromSeconds(1), options.Flush);
        Assert.False(options.RemoveAcknowledged);
        Assert.Equal((true, false), (options.AllowTrace, options.AllowTracers || options.AllowDynamicDebug));
        Assert.Contains("sched:sched_switch", options.Events);
    }

    [Fact]
    public void Later_sources_win_over_earlier_ones()
    {
        File.WriteAllText(Main, "[Collector]\nAddress=2:1000\n[Trace]\nBufferKb=128\nFlush=2s\nEvents=irq sched:sched_waking\n[Pstore]\nRemoveAcknowledged=yes\n[Control]\nAllowTrace=no\nAllowTracers=yes\nAllowDynamicDebug=on\n[PersistentRing]\nEvents=sched irq:*\n");
        Directory.CreateDirectory(Main + ".d");
        File.WriteAllText(Path.Combine(Main + ".d", "10.conf"), "[Trace]\nBufferKb=256\nFlush=3\n");
        Hashtable environment = new() { ["VSOCKPAIR__Trace__BufferKb"] = "512" };

        CommandLine line = CommandLine.Parse(["run", "--config", Main, "--host", "1:7", "--event", "oom", "--event", "block:*"], environment);

        Assert.Empty(line.ConfigurationFaults);
        Assert.Empty(line.UsageFaults);
        Assert.Equal(new VsockAddress(1, 7), line.Options.Host);
        Assert.Equal(512, line.Options.BufferKb);
        Assert.Equal(TimeSpan.FromSeconds(3), line.Options.Flush);
        Assert.Equal(["oom", "block:*"], line.Options.Events);
        Assert.True(line.Options.RemoveAcknowledged);
        Assert.Equal(["sched", "irq:*"], line.Options.PersistentEvents);
        Assert.Equal((false, true), (line.Options.AllowTrace, line.Options.AllowTracers && line.Options.AllowDynamicDebug));
    }

    [Fact]
    public void Every_fault_of_a_file_is_one_line_with_its_place()
    {
        File.WriteAllText(Main, "[Collector]\nAddress=two\n[Trace]\nBufferKb=1\nNonsense\nColour=red\n[Pstore]\nRemoveAcknowledged=maybe\n");

        List<string> faults = Parse("--config", Main).ConfigurationFaults;

        Assert.Equal(5, faults.Count);
        Assert.Contains(faults, f => f.StartsWith($"{Main}:2: ", StringComparison.Ordinal) && f.Contains("CID:PORT", StringComparison.Ordinal));
        Assert.Contains(faults, f => f.StartsWith($"{Main}:4: ", StringComparison.Ordinal));
        Assert.Contains(faults, f => f.StartsWith($"{Main}:5: ", StringComparison.Ordinal));
        Assert.Contains(faults, f => f.StartsWith($"{Main}:6: ", StringComparison.Ordinal) && f.Contains("no such setting", StringComparison.Ordinal));
        Assert.Contains(faults, f => f.StartsWith($"{Main}:8: ", StringComparison.Ordinal));
    }

    [Fact]
    public void A_named_file_must_exist() =>
        Assert.Contains("there is no such file", Assert.Single(Parse("--config", Path.Combine(_folder, "none")).ConfigurationFaults), StringComparison.Ordinal);

    [Theory]
    [InlineData("--bogus")]
    [InlineData("--host")]
    [InlineData("--host", "829")]
    [InlineData("--host", ":829")]
    [InlineData("--buffer-kb", "many")]
    [InlineData("--flush", "0")]
    [InlineData("--event", "sched:")]
    [InlineData("--event", "a:b:c")]
    [InlineData("run", "--json")]
    [InlineData("check")]
    public void Wrong_use_is_one_usage_fault(params string[] arguments)
    {
        CommandLine line = Parse(arguments);

        Assert.Single(line.UsageFaults);
        Assert.Empty(line.ConfigurationFaults);
    }

    [Fact]
    public void Help_and_version_need_no_configuration()
    {
        Assert.Equal(AgentCommand.Version, Parse("--version").Command);
        Assert.Equal(AgentCommand.Help, Parse("run", "--help").Command);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static CommandLine Parse(params string[] arguments) => CommandLine.Parse(arguments, new Hashtable());
}
