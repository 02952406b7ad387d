using System.Diagnostics;
using System.Text;
using VsockPair.TestKit.Vm;

namespace VsockPair.TestKit;

/// <summary>
/// One of the two services as a process: the stripped binary that <c>make build</c> leaves in out/. It can be stopped, killed, paused and started again on the same store.
/// </summary>
public abstract class ServiceProcess : IAsyncDisposable
{
    private readonly string _command;
    private readonly string _configuration;
    private readonly string _socket;
    private readonly StringBuilder _output = new();
    private Process? _process;

    /// <param name="command">Of the binary.</param>
    /// <param name="store">Folder of the store; also holds the configuration, as <c>&lt;store&gt;.&lt;command&gt;.conf</c>.</param>
    /// <param name="configuration">INI text.</param>
    /// <param name="socket">In the store; there once the service is.</param>
    protected ServiceProcess(string command, string store, string configuration, string socket)
    {
        Store = store;
        _command = command;
        _configuration = $"{store}.{command}.conf";
        _socket = Path.Combine(store, socket);
        File.WriteAllText(_configuration, configuration);
    }

    public static string Binary { get; } = Require("out/vsockpair");

    public static string AgentBinary { get; } = Require("out/vsockpair-agent");

    public string Store { get; }

    public int Pid => _process?.Id ?? throw new InvalidOperationException($"vsockpair {_command} does not run");

    /// <summary>Everything that all starts so far have printed.</summary>
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

    /// <summary>Of the command, besides <c>--config</c> and <c>--store</c>.</summary>
    protected abstract IEnumerable<string> Arguments { get; }

    /// <summary>A program that becomes the service, with its arguments: it keeps its process id.</summary>
    protected virtual IEnumerable<string> Launcher => [];

    /// <summary>Starts it and waits until it answers.</summary>
    public async Task StartAsync()
    {
        string[] line = [.. Launcher, Binary, _command, "--config", _configuration, "--store", Store, .. Arguments];
        ProcessStartInfo start = new(line[0], line[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        Directory.CreateDirectory(Store);
        File.Delete(_socket);
        _process = Process.Start(start) ?? throw new InvalidOperationException($"{Binary} did not start");
        _process.OutputDataReceived += (_, line) => Append(line.Data);
        _process.ErrorDataReceived += (_, line) => Append(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await Eventually.TrueAsync(
            () => _process.HasExited ? throw new InvalidOperationException($"{_command} ended with exit code {_process.ExitCode}:\n{Output}") : File.Exists(_socket),
            TimeSpan.FromSeconds(20),
            $"vsockpair {_command} to answer");
    }

    /// <summary>SIGTERM, and the exit code.</summary>
    public Task<int> StopAsync() => EndAsync(Signals.Terminate);

    public Task<int> KillAsync() => EndAsync(Signals.Kill);

    public void Signal(int signal) => Signals.Send(Pid, signal);

    /// <summary>Runs an operator's command on this store.</summary>
    public Task<CommandOutput> RunAsync(params string[] arguments) => RunOnAsync(Store, [.. arguments, "--config", _configuration]);

    /// <summary>Runs an operator's command on a store without a collector.</summary>
    public static async Task<CommandOutput> RunOnAsync(string store, IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(Binary, [.. arguments, "--store", store])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{Binary} did not start");
        Task<string> error = process.StandardError.ReadToEndAsync();
        string text = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return new CommandOutput(process.ExitCode, text, await error);
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (_process is { HasExited: false })
        {
            await KillAsync();
        }
        File.Delete(_configuration);
    }

    private async Task<int> EndAsync(int signal)
    {
        Process process = _process ?? throw new InvalidOperationException($"vsockpair {_command} does not run");
        Signals.Send(process.Id, signal);
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw new InvalidOperationException($"{_command} did not end within 20 s of signal {signal}:\n{Output}");
        }
        int code = process.ExitCode;
        process.Dispose();
        _process = null;
        return code;
    }

    private void Append(string? line)
    {
        if (line is not null)
        {
            lock (_output)
            {
                _output.Append(line).Append('\n');
            }
        }
    }

    private static string Require(string path)
    {
        string full = Path.Combine(Repository.Root, path);
        return File.Exists(full) ? full : throw new FileNotFoundException($"{path} is missing: run `make build` first.");
    }
}

/// <summary>What an operator's command printed.</summary>
public sealed record CommandOutput(int ExitCode, string Text, string Error);
