using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using VsockPair.Sessions;

namespace VsockPair;

/// <summary>Runs one of the two services until it is told to stop, or a part of it fails.</summary>
internal static class ServiceRun
{
    private const int Failed = 1;

    /// <param name="name">Of the command.</param>
    /// <param name="openStore">The store first: what is wrong with it is a clearer message than what follows from it.</param>
    /// <returns>0 after a stop in good order; 1 when it cannot start, with one line that says why, or when a part of it failed.</returns>
    public static async Task<int> RunAsync(HostApplicationBuilder builder, string name, Action<IServiceProvider> openStore, CancellationToken cancellation)
    {
        // Outlives the host, whose disposal may hang too.
        using Timer hardExit = new(_ => Environment.Exit(Failed));
        using IHost host = builder.Build();
        try
        {
            openStore(host.Services);
            await host.StartAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"vsockpair {name}: {e.Message}").ConfigureAwait(false);
            return Failed;
        }
        FaultSignal faults = host.Services.GetRequiredService<FaultSignal>();
        Task stopped = host.WaitForShutdownAsync(cancellation);
        if (await Task.WhenAny(stopped, faults.Faulted).ConfigureAwait(false) != stopped)
        {
            hardExit.Change(host.Services.GetRequiredService<SessionTimes>().FaultPatience, Timeout.InfiniteTimeSpan);
            host.Services.GetRequiredService<IHostApplicationLifetime>().StopApplication();
        }
        await stopped.ConfigureAwait(false);
        return faults.Faulted.IsCompleted ? Failed : 0;
    }
}
