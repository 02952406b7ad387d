using VsockPair.Commands;
using VsockPair.Linux;

namespace VsockPair.HostCollector.Tests.Commands;

/// <summary>Nobody reads the output any more, as behind <c>| head</c>.</summary>
public sealed class CommandRunnerTests : IDisposable
{
    private readonly SampleStore _store = new();
    private readonly StringWriter _error = new() { NewLine = "\n" };
    private readonly StreamWriter _output;

    public CommandRunnerTests()
    {
        LinuxException.Check(Sys.Pipe(out int readEnd, out int writeEnd), "pipe2", "output");
        Sys.Close(readEnd);
        _output = new StreamWriter(OutputStream.ToDevice(new Fd(writeEnd), "standard output"));
    }

    public void Dispose()
    {
        _store.Dispose();
        _error.Dispose();
    }

    [Fact]
    public async Task Who_has_seen_enough_makes_no_failure() => Assert.Equal((ExitCode.Done, ""), await RunAsync("--version"));

    [Fact]
    public async Task What_is_wrong_is_said_all_the_same() =>
        Assert.Equal((ExitCode.NothingFound, $"vsockpair: no guest has connected yet (store {_store.Root})\n"), await RunAsync("guests", "--json"));

    private async Task<(int ExitCode, string Error)> RunAsync(params string[] arguments)
    {
        int exitCode = await CommandRunner.RunAsync(Program.Commands(_output, _error), ["--store", _store.Root, .. arguments], _output, _error, CancellationToken.None);
        return (exitCode, _error.ToString());
    }
}
