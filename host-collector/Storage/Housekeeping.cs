using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Cases;
using VsockPair.Options;
using VsockPair.Sessions;

namespace VsockPair.Storage;

/// <summary>Once a second: rotation by age, records that changed. Four times a second: retention, so that a flood is never far above its quota. At the start: what a dead collector left open.</summary>
internal sealed class Housekeeping(CollectorStore store, Retention retention, StoreOptions options, HostAge age, FaultSignal faults, ILogger<Housekeeping> log) : BackgroundService
{
    private const int TicksPerSecond = 4;
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1) / TicksPerSecond;
    private static readonly TimeSpan UnusedEvery = TimeSpan.FromHours(1);

    /// <summary>A boot that was live when the collector died has so long to come back before it counts as over.</summary>
    private static readonly TimeSpan ComesBackWithin = TimeSpan.FromSeconds(60);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            List<BootStore> live = RecoverBoots(stoppingToken);
            long started = Environment.TickCount64;
            long nextUnused = started;
            using PeriodicTimer timer = new(Every);
            for (int tick = 1; await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false); tick++)
            {
                foreach (GuestStore guest in tick % TicksPerSecond == 0 ? store.Guests : [])
                {
                    foreach (BootStore boot in guest.Boots)
                    {
                        Guard(boot.Folder, boot.Housekeep);
                    }
                    guest.LetGoOfEnded();
                }
                Guard("retention", retention.Run);
                long now = Environment.TickCount64;
                if (now >= nextUnused)
                {
                    nextUnused = now + (long)UnusedEvery.TotalMilliseconds;
                    Guard("guests not seen any more", ForgetGuests);
                    Guard("metadata", RemoveUnusedMetadata);
                }
                if (live.Count > 0 && now - started > ComesBackWithin.TotalMilliseconds)
                {
                    live.ForEach(EndLost);
                    live.Clear();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The collector stops.
        }
        catch (Exception e)
        {
            faults.Report("housekeeping", e);
        }
    }

    /// <returns>Boots that had a session when the last collector died.</returns>
    private List<BootStore> RecoverBoots(CancellationToken stop)
    {
        List<BootStore> live = [];
        foreach (string name in store.GuestNames)
        {
            Guard(name, () =>
            {
                GuestStore guest = store.Guest(name);
                foreach (string folder in guest.BootFolders)
                {
                    stop.ThrowIfCancellationRequested();
                    if (guest.TryOpenLeft(folder) is BootStore boot)
                    {
                        Guard(folder, boot.RecoverAll);
                        if (boot.Record.Ended is null)
                        {
                            live.Add(boot);
                        }
                    }
                }
            });
        }
        return live;
    }

    private void EndLost(BootStore boot) => boot.Change(r => r.Session == boot.SessionAtStart && r.Ended is null
        ? r with { Ended = store.Now, EndReason = EndReasons.Lost }
        : r);

    private void ForgetGuests()
    {
        IReadOnlyList<string> cases = StoredCase.Ids(store.Folder);
        foreach (string name in store.GuestNames)
        {
            GuestStore guest = store.Guest(name);
            if (!cases.Any(id => CasePaths.MayBeOf(id, name)) && guest.ForgetBoots(age.Ago(options.ForgetAfter)) is > 0 and int boots)
            {
                log.GuestForgotten(name, boots);
            }
            guest.ForgetMetadata(endedBefore: age.Ago(options.MaxAge));
        }
    }

    private void RemoveUnusedMetadata()
    {
        foreach (string name in store.GuestNames)
        {
            // One that cannot be read may name anything: then nothing is removed.
            _ = store.Guest(name).Metadata;
        }
        store.Metadata.RemoveUnused();
    }

    private void Guard(string where, Action work)
    {
        try
        {
            work();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.HousekeepingFailed(where, e.Message);
        }
    }
}
