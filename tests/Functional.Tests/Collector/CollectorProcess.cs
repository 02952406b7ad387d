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
    {
        string config = Path.Combine(store.Root, "vsockpair.conf");
        File.WriteAllText(config, $"[Store]\nKeepFree=0%\nTotalShare=100%\n[Limits]\nGuestRate=1G\nHostRate=1G\n{configuration}");
        ProcessStartInfo start = new("dotnet")
        {
            ArgumentList =
            {
                Path.Combine(AppContext.BaseDirectory, "vsockpair.dll"), "serve", "--config", config, "--store", store.Folder,
                "--listen", $"hybrid:{store.VmmSocket}={TestStore.GuestName}",
            },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = Process.Start(start)!;
        _process.OutputDataReceived += Keep;
        _process.ErrorDataReceived += Keep;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
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
        Assert.True(_process.WaitForExit(ScriptedGuestLink.DefaultPatience), $"The collector does not stop:\n{Output}");
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
