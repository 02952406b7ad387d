using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace VsockPair.Storage;

/// <summary>Once a second on a thread of its own: rotation by age, records that changed, and the room on the disk. At the start: what a dead collector left open.</summary>
internal sealed class Housekeeping(CollectorStore store, ILogger<Housekeeping> log) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(Every);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
            {
                foreach (BootStore boot in store.Guests.SelectMany(g => g.Boots))
                {
                    Guard(boot.Folder, boot.Housekeep);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The collector stops.
        }
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
