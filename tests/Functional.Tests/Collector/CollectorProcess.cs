using System.Diagnostics;
using System.Text;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>The built <c>vsockpair serve</c> as a process, which a test can kill.</summary>
internal sealed class CollectorProcess : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();

    public CollectorProcess(TestStore store, string configuration = "")
        : this("dotnet", Arguments(store, configuration))
    {
    }

    public CollectorProcess(string program, params IEnumerable<string> arguments)
    {
        _process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _process.OutputDataReceived += Keep;
        _process.ErrorDataReceived += Keep;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>What <c>dotnet</c> runs to be a collector of this store.</summary>
    public static IEnumerable<string> Arguments(TestStore store, string configuration = "")
    {
        string config = Path.Combine(store.Root, "vsockpair.conf");
        File.WriteAllText(config, $"[Store]\nKeepFree=0%\nTotalShare=100%\n[Limits]\nGuestRate=1G\nHostRate=1G\n{configuration}");
        return
        [
            Path.Combine(AppContext.BaseDirectory, "vsockpair.dll"), "serve", "--config", config, "--store", store.Folder,
            "--listen", $"hybrid:{store.VmmSocket}={TestStore.GuestName}",
        ];
    }

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

    /// <summary>SIGKILL, at whatever it is doing.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <summary>SIGTERM.</summary>
    /// <returns>The exit code.</returns>
    public int Terminate()
    {
        using Process kill = Process.Start("kill", ["-TERM", _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
        return AwaitExit();
    }

    /// <returns>The exit code.</returns>
    public int AwaitExit()
    {
        Assert.True(_process.WaitForExit(ScriptedGuestLink.DefaultPatience), $"The collector does not end:\n{Output}");
        // Without a limit it also waits for the rest of the output.
        _process.WaitForExit();
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            Kill();
        }
        _process.Dispose();
    }

    private void Keep(object sender, DataReceivedEventArgs line)
    {
        lock (_output)
        {
            _output.AppendLine(line.Data);
        }
    }
}
