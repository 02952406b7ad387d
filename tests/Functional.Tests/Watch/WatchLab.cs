using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using VsockPair.Cases;
using VsockPair.Functional.Tests.Collector;
using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.TestKit;
using VsockPair.TestKit.Qmp;
using VsockPair.Watch;

namespace VsockPair.Functional.Tests.Watch;

/// <summary>A store, a folder of QMP sockets, and the real <c>vsockpair watch</c>: as a process that can be killed, or in this one, with shorter times.</summary>
internal sealed class WatchLab : IDisposable
{
    public static readonly string Program = Path.Combine(AppContext.BaseDirectory, "vsockpair.dll");

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("vpw");
    private readonly StringBuilder _output = new();
    private CancellationTokenSource? _stop;
    private Task<int>? _run;
    private Process? _process;

    public string Store => Path.Combine(_root.FullName, "store");

    public string Root => _root.FullName;

    public string Config => Path.Combine(_root.FullName, "vsockpair.conf");

    public string SocketOf(string name) => Path.Combine(_root.FullName, "vms", name, "qmp.sock");

    public FakeQmpServer StartQemu(string name = "web1") => new(SocketOf(name)) { MemoryBytes = 64 << 20 };

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

    public IReadOnlyList<CaseEvent> Cases => !Directory.Exists(StorePaths.Cases(Store)) ? [] :
    [
        .. Directory.GetDirectories(StorePaths.Cases(Store)).Order(StringComparer.Ordinal).Select(f => DurableFile.TryRead(CasePaths.Event(f), CaseJson.Default.CaseEvent)).OfType<CaseEvent>(),
    ];

    public string FolderOf(CaseEvent e) => CasePaths.Folder(Store, e.Id);

    /// <summary>In this process, with children of the built program.</summary>
    public void Start(Func<WatchOptions, WatchOptions>? change = null, CloserTimes? times = null, Func<CollectorOptions, CollectorOptions>? more = null)
    {
        CollectorOptions options = new()
        {
            StoreDirectory = Store,
            Store = new StoreOptions { KeepFree = 0, TotalShare = 1 },
            Watch = new WatchOptions { Qmp = [new QmpTemplate(new PathTemplate(Path.Combine(_root.FullName, "vms") + "/", "/qmp.sock"))], DumpsPerHour = 60, DumpsPerDay = 1000 },
        };
        options = options with { Watch = change?.Invoke(options.Watch) ?? options.Watch };
        HostApplicationBuilder builder = WatchCommand.Build(more?.Invoke(options) ?? options, times ?? new CloserTimes());
        builder.Services.AddSingleton(new CaseChild("dotnet", Program));
        CancellationTokenSource stop = _stop = new();
        _run = Task.Run(() => WatchCommand.RunAsync(builder, stop.Token));
        TestStore.Await(() => _run.IsCompleted || Answers(), "watch answers");
    }

    public async Task<int> StopAsync()
    {
        await _stop!.CancelAsync();
        return await _run!;
    }

    /// <summary>As a process.</summary>
    public void StartProcess(string configuration = "")
    {
        File.WriteAllText(Config, $"[Store]\nKeepFree=0%\n[Watch]\nQmpDir={Path.Combine(_root.FullName, "vms")}/{{name}}/qmp.sock\nDumpsPerHour=60\nDumpsPerDay=1000\n{configuration}");
        _process = Process.Start(new ProcessStartInfo("dotnet", [Program, "watch", "--config", Config, "--store", Store]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _process.OutputDataReceived += Keep;
        _process.ErrorDataReceived += Keep;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>SIGKILL, at whatever it is doing.</summary>
    public void KillProcess()
    {
        _process!.Kill();
        _process.WaitForExit();
    }

    /// <summary>SIGTERM.</summary>
    /// <returns>The exit code.</returns>
    public int TerminateProcess()
    {
        Signals.Send(_process!.Id, Signals.Terminate);
        Assert.True(_process.WaitForExit(60_000), Output);
        return _process.ExitCode;
    }

    /// <summary>Runs a command of the program on this store.</summary>
    public (int ExitCode, string Text, string Error) Run(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("dotnet", [Program, .. arguments, "--store", Store])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync();
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, text, error.Result);
    }

    public WatchStatus Status()
    {
        using ScriptedGuestLink link = new(StorePaths.WatchSocket(Store));
        return JsonSerializer.Deserialize(link.AskLine("{\"command\":\"status\"}"), WatchJson.Default.WatchStatus)!;
    }

    /// <summary>A socket's file is there a moment before anybody listens on it.</summary>
    private bool Answers()
    {
        try
        {
            return File.Exists(StorePaths.WatchSocket(Store)) && Status() is not null;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return false;
        }
    }

    public void AwaitConnected(FakeQmpServer qemu) => TestStore.Await(() => qemu.Count("query-status") > 1, $"watch looks at the machine\n{Output}");

    /// <summary>The one case, once it says so.</summary>
    public CaseEvent AwaitCase(Func<CaseEvent, bool> condition, string what, int seconds = 30)
    {
        TestStore.Await(() => Cases.Any(condition), $"{what}; there are {string.Join(", ", Cases)}\n{Output}", seconds);
        return Cases.First(condition);
    }

    public void Dispose()
    {
        _stop?.Cancel();
        _run?.Wait(TimeSpan.FromSeconds(60));
        if (_process is { HasExited: false })
        {
            KillProcess();
        }
        _process?.Dispose();
        _stop?.Dispose();
        _root.Delete(recursive: true);
    }

    private void Keep(object sender, DataReceivedEventArgs line)
    {
        lock (_output)
        {
            _output.AppendLine(line.Data);
        }
    }
}
