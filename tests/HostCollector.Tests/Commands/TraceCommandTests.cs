using VsockPair.Commands;

namespace VsockPair.HostCollector.Tests.Commands;

/// <summary>What is wrong with a <c>vsockpair trace</c> before anybody is asked.</summary>
public sealed class TraceCommandTests : IDisposable
{
    private readonly SampleStore _store = new();

    public TraceCommandTests() => _store.AddGuest("web1");

    public void Dispose() => _store.Dispose();

    [Theory]
    [InlineData("is no verb", "reboot")]
    [InlineData("needs something to record", "set")]
    [InlineData("needs something to record", "set", "--for", "10s")]
    [InlineData("show takes none", "show", "-e", "sched")]
    [InlineData("off takes none", "off", "--for", "10s")]
    [InlineData("is no event", "set", "-e", "../../x")]
    [InlineData("is no filter", "set", "--filter", "bytes_req > 1")]
    [InlineData("is no filter", "set", "-e", "kmem:*", "--filter", "bytes_req > 1")]
    [InlineData("is no filter", "set", "-e", "kmem:kmalloc", "-e", "kmem:kfree", "--filter", "bytes_req > 1")]
    [InlineData("a tracer needs functions", "set", "--tracer", "function")]
    [InlineData("functions need a tracer", "set", "--function", "vfs_read")]
    [InlineData("is no tracer", "set", "--tracer", "hwlat", "--function", "vfs_read")]
    [InlineData("is no function", "set", "--tracer", "function", "--function", "*")]
    [InlineData("KiB per vCPU", "set", "--buffer-kb", "1")]
    [InlineData("KiB per vCPU", "set", "--buffer-kb", "-5")]
    [InlineData("is no number of KiB per vCPU; write one from 16", "set", "--buffer-kb", "big")]
    [InlineData("is no time", "set", "-e", "sched", "--for", "0")]
    [InlineData("is no time", "set", "-e", "sched", "--for", "2d")]
    [InlineData("is no time", "set", "-e", "sched", "--for", "soon")]
    [InlineData("\\x1b", "set", "-e", "\u001b[2J")]
    public async Task Wrong_use_says_what_to_write(string fault, params string[] arguments)
    {
        (int exitCode, string output, string error) = await _store.RunAsync(["trace", "web1", .. arguments]);
        Assert.Equal((ExitCode.Usage, ""), (exitCode, output));
        Assert.Contains(fault, error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Too_many_names_are_refused_before_they_are_sent()
    {
        string[] names = [.. Enumerable.Range(0, 65).SelectMany(i => (string[])["-e", $"e{i}"])];
        (int exitCode, _, string error) = await _store.RunAsync(["trace", "web1", "set", .. names]);
        Assert.Equal(ExitCode.Usage, exitCode);
        Assert.Contains("at most 64", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unknown_guest_and_missing_collector_are_told_apart()
    {
        (int unknown, _, string known) = await _store.RunAsync("trace", "web2", "show");
        Assert.Equal(ExitCode.NothingFound, unknown);
        Assert.Contains("known: web1", known, StringComparison.Ordinal);
        (int failed, _, string missing) = await _store.RunAsync("trace", "web1", "show");
        Assert.Equal(ExitCode.Failed, failed);
        Assert.Contains("is it running", missing, StringComparison.Ordinal);
        Assert.Contains($"there is no socket {_store.Root}/control.sock", missing, StringComparison.Ordinal);
    }
}
