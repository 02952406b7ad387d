using System.Diagnostics;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// A booted test guest: its console, its shell, its QEMU monitor. Disposing it kills everything that belongs to it.
/// A reboot that the test did not wait for (<see cref="WaitForRebootAsync"/>) makes the next command fail: state that a test set up is gone then.
/// </summary>
public sealed class Guest : IAsyncDisposable
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(60);

    private readonly GuestConsole _console = new();
    private readonly CommandChannel _commands;
    private readonly Stream _consoleStream;
    private readonly GuestProcesses? _processes;
    private readonly Task<string> _died;
    private int _knownBoots = 1;

    private Guest(string name, string directory, Stream[] streams, GuestProcesses? processes)
    {
        Name = name;
        Directory = directory;
        _consoleStream = streams[0];
        _processes = processes;
        _commands = new CommandChannel(streams[1]);
        Qmp = new QmpClient(streams[2]) { EventReceived = HandleEvent };
        Task[] readers = [_console.ReadAsync(streams[0], ConsoleLog), _commands.ReadAsync(), Qmp.ReadAsync()];
        _died = WaitForDeathAsync(readers);
    }

    public string Name { get; }

    /// <summary>This guest's own temporary directory on the host; gone after dispose.</summary>
    public string Directory { get; }

    public string ConsoleLog => Path.Combine(Directory, $"{Name}.console");

    /// <summary>Hybrid vsock: the guest's connections to CID 2, port P, arrive at this path with "_P" behind it.</summary>
    public string VsockPath => _processes?.VsockPath
        ?? throw new InvalidOperationException($"guest {Name} has vhost-vsock, not a hybrid socket");

    public QmpClient Qmp { get; }

    /// <summary>Commands can run: it was not reset, or the test has waited for its reboot.</summary>
    public bool IsUp => _commands.IsReady && _commands.Boots == _knownBoots;

    public string ConsoleText => _console.Text;

    /// <summary>From QEMU's start until the command server answered.</summary>
    public TimeSpan BootTime { get; private set; }

    /// <summary>
    /// Boots a guest; returns when its init script is through and commands can run. QEMU 10.0.2 with several emulated vCPUs fails in about one of forty boots, in the
    /// firmware or in a stalled kernel: a guest that did not get so far is started once more, and that is printed.
    /// </summary>
    public static async Task<Guest> StartAsync(GuestOptions options, CancellationToken cancellationToken = default)
    {
        try
        {
            return await BootAsync(options, cancellationToken);
        }
        catch (GuestException failure)
        {
            Console.WriteLine($"guest {options.Name} did not boot, starting it once more: {failure.Message}");
            return await BootAsync(options, cancellationToken);
        }
    }

    private static async Task<Guest> BootAsync(GuestOptions options, CancellationToken cancellationToken)
    {
        string directory = System.IO.Directory.CreateTempSubdirectory("vsockpair-").FullName;
        GuestProcesses? processes = null;
        Guest? guest = null;
        try
        {
            long start = Stopwatch.GetTimestamp();
            using var links = new GuestLinks($"{directory}/");
            processes = await GuestProcesses.StartAsync(options, directory, links, cancellationToken);
            Stream[] streams = await processes.WhileRunningAsync(links.AcceptAsync, cancellationToken);
            guest = new Guest(options.Name, directory, streams, processes);
            await guest.WaitForBootAsync(options.BootTimeout, start, cancellationToken);
            return guest;
        }
        catch
        {
            if (guest is not null)
            {
                await guest.DisposeAsync();
                throw;
            }

            if (processes is not null)
            {
                await processes.DisposeAsync();
            }

            System.IO.Directory.Delete(directory, recursive: true);
            throw;
        }
    }

    /// <summary>Boots several guests at the same time; when one fails, none is left running.</summary>
    public static async Task<Guest[]> StartAllAsync(IEnumerable<GuestOptions> options, CancellationToken cancellationToken = default)
    {
        Task<Guest>[] starts = [.. options.Select(each => StartAsync(each, cancellationToken))];
        try
        {
            return await Task.WhenAll(starts);
        }
        catch
        {
            foreach (Task<Guest> start in starts.Where(start => start.IsCompletedSuccessfully))
            {
                await (await start).DisposeAsync();
            }

            throw;
        }
    }

    /// <summary>A guest whose QEMU somebody else runs and ends.</summary>
    internal static async Task<Guest> AttachAsync(
        string name, string directory, Stream[] streams, TimeSpan bootTimeout, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        var guest = new Guest(name, directory, streams, null);
        try
        {
            await guest.WaitForBootAsync(bootTimeout, start, cancellationToken);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Runs a shell command in the guest, as root. What it leaves running in the background should have its output redirected.
    /// After the timeout (60 s unless given) it is killed.
    /// </summary>
    public async Task<CommandResult> RunAsync(
        string command, TimeSpan? timeout = null, ReadOnlyMemory<byte> input = default, CancellationToken cancellationToken = default)
    {
        if (!IsUp)
        {
            throw Failure($"cannot run '{command}': the guest was reset and the test did not wait for its reboot");
        }

        CommandResult? result = null;
        await LimitAsync(
            async limit => result = await _commands.RunAsync(command, input, limit),
            timeout ?? DefaultTimeout,
            $"'{command}' to end",
            cancellationToken);
        return result!;
    }

    public async Task<byte[]> ReadFileAsync(string path, TimeSpan? timeout = null) =>
        (await RunAsync($"cat {Quote(path)}", timeout)).EnsureSuccess().Output;

    public async Task WriteFileAsync(string path, ReadOnlyMemory<byte> content, TimeSpan? timeout = null) =>
        (await RunAsync($"cat > {Quote(path)}", timeout, content)).EnsureSuccess();

    /// <summary>Waits until the console, from character <paramref name="start"/> on, contains the text.</summary>
    public Task WaitForConsoleAsync(string text, TimeSpan timeout, int start = 0, CancellationToken cancellationToken = default) =>
        LimitAsync(limit => _console.WaitForAsync(text, start, limit), timeout, $"'{text}' on the console", cancellationToken);

    /// <summary>Crashes the guest's kernel; returns when its panic is on the console. By itself the guest then reboots after 1 s.</summary>
    /// <param name="commands">Shell commands that do it.</param>
    /// <param name="then">What the host does for it, once they were given.</param>
    public async Task PanicAsync(string commands = "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger", Func<Task>? then = null)
    {
        int start = ConsoleText.Length;
        Task command = _commands.RunAsync(commands, default, CancellationToken.None);
        if (then is not null)
        {
            await command;
            await then();
        }
        await WaitForConsoleAsync("Kernel panic - not syncing", DefaultTimeout, start);
        ForgetOutcome(command);
    }

    /// <summary>Resets the machine without shutting anything down; RAM survives.</summary>
    public async Task RebootAsync(TimeSpan? timeout = null)
    {
        ForgetOutcome(_commands.RunAsync("reboot -f", default, CancellationToken.None));
        await WaitForRebootAsync(timeout);
    }

    /// <summary>Waits for the boot after the last known one (it may be through already).</summary>
    public async Task WaitForRebootAsync(TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        await LimitAsync(
            async limit =>
            {
                while (!_commands.IsReady || _commands.Boots == _knownBoots)
                {
                    await Task.Delay(20, limit);
                }
            },
            timeout ?? TimeSpan.FromMinutes(2),
            "the guest's reboot",
            cancellationToken);
        _knownBoots++;
    }

    public async ValueTask DisposeAsync()
    {
        if (_processes is not null)
        {
            await _processes.DisposeAsync();
        }

        await _consoleStream.DisposeAsync();
        _commands.Dispose();
        Qmp.Dispose();

        await _died;
        if (_processes is not null)
        {
            System.IO.Directory.Delete(Directory, recursive: true);
        }
    }

    internal string DescribeConsole() => $"--- console of {Name}, last lines ---\n{_console.Tail()}\n{_processes?.DescribeOutput()}";

    private async Task WaitForBootAsync(TimeSpan timeout, long start, CancellationToken cancellationToken)
    {
        await LimitAsync(Qmp.NegotiateAsync, timeout, "QEMU's monitor", cancellationToken);
        await LimitAsync(_commands.Ready.WaitAsync, timeout, "the guest to boot", cancellationToken);
        BootTime = Stopwatch.GetElapsedTime(start);
    }

    /// <summary>Runs a wait so that it ends with an explanation: by time, or by the guest's death.</summary>
    private async Task LimitAsync(Func<CancellationToken, Task> wait, TimeSpan timeout, string what, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task waiting = wait(limit.Token);
        limit.CancelAfter(timeout);
        if (await Task.WhenAny(waiting, _died) == _died && !waiting.IsCompleted)
        {
            await limit.CancelAsync();
            throw Failure($"waiting for {what}: {await _died}");
        }

        try
        {
            await waiting;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw Failure($"waited {timeout.TotalSeconds:0.#} s in vain for {what}");
        }
    }

    private void HandleEvent(QmpEvent received)
    {
        if (received.Name == "RESET")
        {
            _commands.Reset(Failure("the guest was reset while the command ran"));
        }
    }

    private async Task<string> WaitForDeathAsync(Task[] readers)
    {
        // QEMU closes its sockets when it ends; a reader that fails is as good as a dead guest, and its reason must be seen.
        Task first = await Task.WhenAny(readers);
        string reason = first.Exception is { } fault ? $"the rig lost the guest: {fault.InnerException}" : "the guest's QEMU ended";
        return _processes is null ? reason : $"{reason}; {_processes.DescribeOutput()}";
    }

    private GuestException Failure(string message) => new($"guest {Name}: {message}\n{DescribeConsole()}");

    private static void ForgetOutcome(Task command) =>
        command.ContinueWith(static ended => _ = ended.Exception, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    internal static string Quote(string path) => $"'{path.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
