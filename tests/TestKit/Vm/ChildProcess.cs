using System.Diagnostics;
using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// A program that lives no longer than this process, however this process ends. A shell stands between: it kills the program
/// when its standard input closes, which the kernel does for a killed test host, and PR_SET_PDEATHSIG covers the shell's own death.
/// (PDEATHSIG alone would not do: it follows the thread that forked, and .NET forks from pool threads that come and go.)
/// </summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private const int KeptOutput = 64 * 1024;

    private const string Supervisor = """
        exec 3<&0
        setpriv --pdeathsig KILL "$@" </dev/null 3<&- &
        child=$!
        (read -r _ <&3; kill -KILL $child) &
        watcher=$!
        exec 3<&-
        wait $child
        code=$?
        kill $watcher
        exit $code
        """;

    private readonly Process _process;
    private readonly StringBuilder _output = new();

    private ChildProcess(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) => Append(line.Data);
        process.ErrorDataReceived += (_, line) => Append(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        Exited = WaitAsync();
    }

    /// <summary>The exit code, as a shell reports it; completes when all output has been read.</summary>
    public Task<int> Exited { get; }

    /// <summary>What the program last wrote, standard output and error together.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    public static ChildProcess Start(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", Supervisor, Path.GetFileName(program), program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return new ChildProcess(Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start"));
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
        }

        await Exited;
        _process.Dispose();
    }

    private async Task<int> WaitAsync()
    {
        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    private void Append(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (_output)
        {
            _output.Append(line).Append('\n');
            if (_output.Length > KeptOutput)
            {
                _output.Remove(0, _output.Length - KeptOutput);
            }
        }
    }
}
