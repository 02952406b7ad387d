using System.Collections.Concurrent;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Sessions;

namespace VsockPair.Watch;

/// <summary>Looks every second which machines there are, and has each of them watched.</summary>
internal sealed class MachineFinder(IEnumerable<IMachineSource> sources, WatchParts parts, FaultSignal faults, ILogger<MachineFinder> log) : BackgroundService
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, Watched> _watched = new(StringComparer.Ordinal);
    private string? _lookFailure;

    public IEnumerable<MachineStatus> Machines => _watched.Values.Select(w => w.Watch.Status).OrderBy(s => s.Name, StringComparer.Ordinal);

    public MachineWatch? Find(string guest) => _watched.Values.Select(w => w.Watch).FirstOrDefault(w => w.Status.Name == guest);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            DateTimeOffset started = parts.Time.GetUtcNow();
            bool isFirst = true;
            using PeriodicTimer timer = new(LookAgain);
            do
            {
                LookGuarded(stoppingToken);
                if (isFirst && parts.Time.GetUtcNow() - started >= IdentityFolder.FirstLook)
                {
                    isFirst = false;
                    parts.Identities.RemoveStale();
                }
            }
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // The service stops; the watches of the machines do as well, and are waited for.
            await Task.WhenAll(_watched.Values.Select(w => w.Run)).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            faults.Report("machine finder", e);
        }
    }

    /// <summary>Folders come and go while they are looked through; the next look sees them as they are.</summary>
    private void LookGuarded(CancellationToken stop)
    {
        try
        {
            Look(stop);
            _lookFailure = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (_lookFailure != e.Message)
            {
                _lookFailure = e.Message;
                log.LookFailed(e.Message);
            }
        }
    }

    private void Look(CancellationToken stop)
    {
        Dictionary<string, MachineEndpoint> found = [];
        foreach (MachineEndpoint endpoint in sources.SelectMany(s => s.Find()))
        {
            found.TryAdd(endpoint.Key, endpoint);
        }
        foreach ((string key, Watched watched) in _watched)
        {
            if (watched.Run.IsCompleted)
            {
                // It ends only when it was told to; anything else is a fault of this program.
                if (watched.Run.IsFaulted)
                {
                    faults.Report(watched.Watch.Endpoint.Key, watched.Run.Exception);
                }
                if (!stop.IsCancellationRequested)
                {
                    parts.Identities.Remove(watched.Watch.Status.Name);
                }
                watched.Gone.Dispose();
                _watched.TryRemove(key, out _);
            }
            else if (!found.ContainsKey(key) && watched.Watch.Status.ConnectedSince is null)
            {
                // Connected, it says itself when it ends: the path may be unlinked while its QEMU runs.
                watched.Gone.Cancel();
            }
        }
        foreach ((string key, MachineEndpoint endpoint) in found.Where(f => !_watched.ContainsKey(f.Key)))
        {
            CancellationTokenSource gone = CancellationTokenSource.CreateLinkedTokenSource(stop);
            MachineWatch watch = new(endpoint, parts);
            _watched[key] = new Watched(watch, Task.Run(() => watch.RunAsync(gone.Token), CancellationToken.None), gone);
        }
    }

    private sealed record Watched(MachineWatch Watch, Task Run, CancellationTokenSource Gone);
}
