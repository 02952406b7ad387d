using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Options;
using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>The clock of all sessions, and their end when the collector stops: listeners are closed already, so nothing new comes.</summary>
internal sealed class SessionService(
    CollectorOptions options, CollectorStore store, SessionRegistry registry, BulkLoops loops, SessionTimes times, FaultSignal faults, ILogger<SessionService> log)
    : BackgroundService
{
    private static readonly TimeSpan TickEvery = TimeSpan.FromSeconds(1);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        log.Started(typeof(SessionService).Assembly.GetName().Version!.ToString(3), options.StoreDirectory);
        await base.StartAsync(cancellationToken).ConfigureAwait(false);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        registry.IsStopping = true;
        GuestSession[] sessions = [.. registry.Sessions];
        log.StopBegun(sessions.Length);
        foreach (GuestSession session in sessions)
        {
            session.Send(new Stop("the collector stops"));
        }
        using CancellationTokenSource limit = new(times.StopWait);
        await Task.WhenAny(Task.WhenAll(sessions.Select(s => s.StreamsEndedAsync())), Task.Delay(times.StopWait, limit.Token)).ConfigureAwait(false);
        await Task.WhenAll(sessions.Select(s => s.EndAsync(EndReasons.Stopped))).WaitAsync(cancellationToken).ConfigureAwait(false);
        await base.StopAsync(cancellationToken).ConfigureAwait(false);
        loops.Dispose();
        foreach (BootStore boot in store.Guests.SelectMany(g => g.Boots))
        {
            try
            {
                boot.CloseFiles();
                boot.Housekeep();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // One broken folder keeps no other boot from being finished.
                log.BootNotFinished(boot.Folder, e.Message);
            }
        }
        await store.Worker.FlushAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        log.Stopped();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(TickEvery);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
            {
                foreach (GuestSession session in registry.Sessions)
                {
                    session.Tick();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The collector stops.
        }
        catch (Exception e)
        {
            faults.Report("sessions", e);
        }
    }
}
