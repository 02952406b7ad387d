using System.Collections.Concurrent;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Cases;
using VsockPair.Options;
using VsockPair.Sessions;

namespace VsockPair.Watch;

/// <summary>
/// What happens to a case once its machine goes on: its parts are made at once, and again when what came later is there, the guest's next boot above all; then it is closed
/// and told. All by files, so a start goes on where the last one was killed. Also finds the boots that ended without a word, and has old cases removed.
/// </summary>
internal sealed class CaseCloser(
    CaseFolders cases, UncleanBoots unclean, BootFinder boots, CaseWork work, MachineFinder machines, EventFeed feed, CollectorOptions options, CaseRetention retention, CloserTimes times,
    FaultSignal faults, TimeProvider time, ILogger<CaseCloser> log) : BackgroundService
{
    /// <summary>Parts that one case's child cannot be made to make, another try will not make either.</summary>
    private const int MostTries = 3;

    /// <summary>Children at a time: they are slow on purpose, and one guest must not hold up another's.</summary>
    private const int MostAtOnce = 4;

    private const string Gone =
        "QEMU was gone before the memory could be read; it stands still after a panic with -action panic=pause (QEMU 6.0, set by watch while it is connected) or -no-shutdown";

    private readonly ConcurrentDictionary<string, Task> _running = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, (int Tries, DateTimeOffset Again)> _failed = new(StringComparer.Ordinal);

    /// <summary>Cases that are not announced.</summary>
    public IEnumerable<CaseFolder> Open => cases.All().Where(c => c.Event.Announced is null);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        DateTimeOffset nextScan = default;
        DateTimeOffset nextRemoval = default;
        try
        {
            using PeriodicTimer timer = new(times.Look);
            do
            {
                try
                {
                    if (time.GetUtcNow() >= nextScan)
                    {
                        nextScan = time.GetUtcNow() + times.Scan;
                        OpenUnclean();
                    }
                    Look(stoppingToken);
                    if (time.GetUtcNow() >= nextRemoval)
                    {
                        nextRemoval = time.GetUtcNow() + times.Remove;
                        retention.Run();
                    }
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    log.CaseNotWritten("cases", e.Message);
                }
            }
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(_running.Values).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            faults.Report("cases", e);
        }
    }

    private void OpenUnclean()
    {
        foreach (CaseFolder file in unclean.Open())
        {
            log.CaseOpened(file.Id, file.Event.Kind);
            feed.Publish(WatchEvent.OfCase(WatchEvent.CaseOpened, file, time.GetUtcNow()));
        }
    }

    private void Look(CancellationToken stop)
    {
        DateTimeOffset now = time.GetUtcNow();
        foreach (CaseFolder file in Open.Where(c => !c.IsInHand))
        {
            CaseEvent e = file.Event;
            if (e.Memory is null)
            {
                // Whoever is connected to its machine sees to it.
                if (now - e.Time > times.Orphan && machines.Find(e.Guest)?.Status.ConnectedSince is null)
                {
                    file.Update(x => x with { Memory = new CaseMemory(options.Watch.Memory.ToString().ToLowerInvariant(), MemoryTaken.None, null, Gone, 0) });
                }
                continue;
            }
            bool isFinal = IsFinal(e, now);
            bool isWanted = isFinal || !File.Exists(CasePaths.Manifest(file.Folder));
            if (isWanted && _running.Count < MostAtOnce && !_running.ContainsKey(file.Id) && !(_failed.TryGetValue(file.Id, out var failed) && now < failed.Again))
            {
                _running[file.Id] = Task.Run(() => FinishAsync(file, isFinal, stop), CancellationToken.None);
            }
        }
    }

    private async Task FinishAsync(CaseFolder file, bool isFinal, CancellationToken stop)
    {
        try
        {
            bool isMade = await work.AssembleAsync(file, isFinal, stop).ConfigureAwait(false);
            int tries = isMade ? 0 : _failed.GetValueOrDefault(file.Id).Tries + 1;
            _failed[file.Id] = (tries, isMade ? default : time.GetUtcNow() + times.TryAgain);
            if (isFinal && (isMade || tries >= MostTries))
            {
                file.Update(e => e with { Announced = time.GetUtcNow() });
                _failed.TryRemove(file.Id, out _);
                log.CaseClosed(file.Id, file.Manifest?.Parts.Count ?? 0, file.Manifest?.Missing.Count ?? 0);
                feed.Publish(WatchEvent.OfCase(WatchEvent.CaseClosed, file, time.GetUtcNow()));
                await work.TellAsync(file, stop).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops; the next start goes on.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.CaseNotWritten(file.Id, e.Message);
        }
        catch (Exception e)
        {
            faults.Report(file.Id, e);
        }
        finally
        {
            _running.TryRemove(file.Id, out _);
        }
    }

    /// <summary>Whether nothing more will come.</summary>
    private bool IsFinal(CaseEvent e, DateTimeOffset now)
    {
        if (e.Kind == CaseKinds.Dump)
        {
            return true;
        }
        DateTimeOffset from = e.Released ?? e.Time;
        TimeSpan wait = e.Kind == CaseKinds.Kdump && options.Watch.WaitForBoot < times.KdumpWait ? times.KdumpWait : options.Watch.WaitForBoot;
        return now - from > wait || (boots.Next(e.Guest, e.Boot, e.Time) is KnownBoot next && now - next.Record.Started > times.Settle);
    }
}

/// <summary>How soon things happen; tests do not want to wait so long.</summary>
internal sealed record CloserTimes
{
    public TimeSpan Look { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Between two looks for boots that ended without a word.</summary>
    public TimeSpan Scan { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Between two looks for cases over their quota or age.</summary>
    public TimeSpan Remove { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>From a guest's next boot until all that it brings is there.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How long a machine that told of a panic and went may take to come back.</summary>
    public TimeSpan Orphan { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan TryAgain { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>A crash kernel copies all of the guest's memory before it boots again.</summary>
    public TimeSpan KdumpWait { get; init; } = TimeSpan.FromHours(1);
}
