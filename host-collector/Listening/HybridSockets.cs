using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Linux;
using VsockPair.Options;
using VsockPair.Sessions;

namespace VsockPair.Listening;

/// <summary>
/// The sockets beside the VMMs' own ones: bound when the VM's folder is there, looked for once a second, removed when it goes and when the collector stops.
/// A socket file that a dead collector left is replaced; one on which somebody listens is left alone.
/// </summary>
internal sealed class HybridSockets(IReadOnlyList<ListenSpec> specs, AcceptLoop accept, FaultSignal faults, ILogger<HybridSockets> log) : BackgroundService
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);

    private readonly Dictionary<string, Listener> _bound = new(StringComparer.Ordinal);
    private readonly HashSet<string> _failed = new(StringComparer.Ordinal);
    private string? _lookFailure;

    /// <summary>Binds what is there now.</summary>
    /// <exception cref="LinuxException">A socket whose folder is there cannot be bound.</exception>
    public override Task StartAsync(CancellationToken cancellationToken)
    {
        foreach ((string path, string name) in FindSockets())
        {
            Bind(path, name);
        }
        return base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken).ConfigureAwait(false);
        foreach (string path in _bound.Keys)
        {
            RemoveFile(path);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(LookAgain);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
            {
                LookGuarded();
            }
        }
        catch (OperationCanceledException)
        {
            // The collector stops.
        }
        catch (Exception e)
        {
            faults.Report("hybrid sockets", e);
        }
    }

    /// <summary>Folders come and go while they are looked through; the next look sees them as they are.</summary>
    private void LookGuarded()
    {
        try
        {
            Look();
            _lookFailure = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (_lookFailure != e.Message)
            {
                _lookFailure = e.Message;
                log.BindFailed(e.Message);
            }
        }
    }

    private void Look()
    {
        Dictionary<string, string> wanted = FindSockets().ToDictionary(s => s.Path, s => s.Name, StringComparer.Ordinal);
        foreach ((string path, Listener listener) in _bound.Where(b => !wanted.ContainsKey(b.Key) || !File.Exists(b.Key)).ToList())
        {
            _bound.Remove(path);
            accept.Remove(listener);
            RemoveFile(path);
            log.ListenerRemoved(listener.Text);
        }
        foreach ((string path, string name) in wanted.Where(w => !_bound.ContainsKey(w.Key)))
        {
            try
            {
                Bind(path, name);
                _failed.Remove(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (_failed.Add(path))
                {
                    log.BindFailed(e.Message);
                }
            }
        }
    }

    private void Bind(string path, string name)
    {
        if (File.Exists(path))
        {
            RemoveStale(path);
        }
        Listener listener = new(StreamSocket.ListenUnix(path), $"hybrid:{path} ({name})", new GuestIdentity(name, "socket", Socket: path[..^ListenSpec.HybridSuffix.Length]));
        _bound.Add(path, listener);
        accept.Add(listener);
        log.Listening(listener.Text);
    }

    private static void RemoveFile(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (DirectoryNotFoundException)
        {
            // It went with its folder.
        }
    }

    private static void RemoveStale(string path)
    {
        try
        {
            StreamSocket.ConnectUnix(path, nonBlocking: true).Dispose();
        }
        catch (LinuxException e) when (e.Errno == Errno.ECONNREFUSED)
        {
            File.Delete(path);
            return;
        }
        catch (LinuxException e) when (e.Errno == Errno.EAGAIN)
        {
            // Its queue is full, so somebody listens.
        }
        throw new LinuxException("bind", Errno.EADDRINUSE, path);
    }

    /// <summary>Sockets whose folder is there, with their guests' names.</summary>
    private IEnumerable<(string Path, string Name)> FindSockets()
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach ((string vmm, string name) in specs.SelectMany(Find))
        {
            string path = vmm + ListenSpec.HybridSuffix;
            if (Directory.Exists(Path.GetDirectoryName(path)) && seen.Add(path))
            {
                yield return (path, name);
            }
        }
    }

    private static IEnumerable<(string Path, string Name)> Find(ListenSpec spec)
    {
        switch (spec)
        {
            case HybridListen listen:
                yield return (listen.Path, listen.Name);
                break;
            case HybridTemplate template:
                // What the collector itself has bound beside the VMMs' sockets is none of theirs.
                foreach (string name in template.Paths.FindNames().Where(name => GuestName.IsValid(name) && !IsOwn(template, name)))
                {
                    yield return (template.Paths.PathOf(name), name);
                }
                break;
        }
    }

    private static bool IsOwn(HybridTemplate template, string name) => (name + template.After.Split('/')[0]).EndsWith(ListenSpec.HybridSuffix, StringComparison.Ordinal);
}
