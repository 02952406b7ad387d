namespace VsockPair.TestKit.Vm;

/// <summary>The host processes of one guest: its vsock backend and its QEMU.</summary>
internal sealed class GuestProcesses : IAsyncDisposable
{
    private readonly ChildProcess _backend;
    private readonly ChildProcess _qemu;

    private GuestProcesses(ChildProcess backend, ChildProcess qemu, string vsockPath)
    {
        _backend = backend;
        _qemu = qemu;
        VsockPath = vsockPath;
    }

    public string VsockPath { get; }

    public static async Task<GuestProcesses> StartAsync(
        GuestOptions options, string directory, GuestLinks links, CancellationToken cancellationToken)
    {
        string initramfs = Path.Combine(directory, "initramfs");
        IEnumerable<string> ports = ["command", .. options.ExtraPorts];
        long size = await Initramfs.WriteAsync(initramfs, options, QemuCommandLine.RamoopsParameters(options), ports);
        QemuCommandLine.Check(options, size);

        string vsockPath = Path.Combine(options.VsockDirectory ?? directory, $"{options.Name}.vsock");
        string backendSocket = Path.Combine(directory, "backend.sock");
        ChildProcess backend = await StartBackendAsync(options.Cid, backendSocket, vsockPath, cancellationToken);
        try
        {
            ChildProcess qemu = ChildProcess.Start(
                RigCache.Qemu,
                [
                    .. QemuCommandLine.Machine(options, RigCache.FindKernel(options.Kernel).Image, initramfs),
                    .. GuestLinks.Names.SelectMany(link => Connect(link, links.PathOf(link))),
                    .. Connect("vsock", backendSocket),
                    "-device", "vhost-user-vsock-pci,chardev=vsock",
                    .. options.QemuArguments,
                ]);
            return new GuestProcesses(backend, qemu, vsockPath);
        }
        catch
        {
            await backend.DisposeAsync();
            throw;
        }
    }

    /// <summary>The guest's AF_VSOCK device, for the QEMU that connects to the socket.</summary>
    public static async Task<ChildProcess> StartBackendAsync(uint cid, string socket, string vsockPath, CancellationToken cancellationToken)
    {
        File.Delete(vsockPath);
        string guard = await StaticProgram.BackendGuardAsync();
        ChildProcess backend = ChildProcess.Start(
            "/usr/bin/env", [$"LD_PRELOAD={guard}", RigCache.VsockBackend, "--guest-cid", $"{cid}", "--socket", socket, "--uds-path", vsockPath]);
        try
        {
            await WaitForSocketAsync(socket, backend, cancellationToken);
            return backend;
        }
        catch
        {
            await backend.DisposeAsync();
            throw;
        }
    }

    public static string[] Connect(string id, string path) => ["-chardev", $"socket,id={id},path={path}"];

    /// <summary>Runs something that only a living QEMU completes.</summary>
    public async Task<T> WhileRunningAsync<T>(Func<CancellationToken, Task<T>> action, CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task<T> running = action(ended.Token);
        if (await Task.WhenAny(running, _qemu.Exited) != running)
        {
            await ended.CancelAsync();
            throw new GuestException($"QEMU did not start; {DescribeOutput()}");
        }

        return await running;
    }

    public string DescribeOutput() => $"QEMU said: '{_qemu.Output.TrimEnd()}'; the vsock backend said: '{_backend.Output.TrimEnd()}'";

    public async ValueTask DisposeAsync()
    {
        await _qemu.DisposeAsync();
        await _backend.DisposeAsync();
    }

    public static async Task WaitForSocketAsync(string path, ChildProcess owner, CancellationToken cancellationToken)
    {
        while (!File.Exists(path))
        {
            if (owner.Exited.IsCompleted)
            {
                throw new GuestException($"the program of {path} ended with exit code {await owner.Exited}: {owner.Output}");
            }

            await Task.Delay(10, cancellationToken);
        }
    }
}
