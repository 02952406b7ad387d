using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Options;
using VsockPair.Sessions;
using VsockPair.Storage;

namespace VsockPair;

/// <summary><c>vsockpair serve</c>: binds, serves until it is told to stop, and leaves a store with every segment closed.</summary>
public static class ServeCommand
{
    private const int Failed = 1;

    /// <returns>0 after a stop in good order; 1 when it cannot start, with one line that says why, or when a part of it failed.</returns>
    public static Task<int> RunAsync(CollectorOptions options, CancellationToken cancellation) => RunAsync(Build(options, new SessionTimes()), cancellation);

    /// <summary>Every part of a collector that is not running yet.</summary>
    internal static HostApplicationBuilder Build(CollectorOptions options, SessionTimes times)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.Configure<ConsoleLifetimeOptions>(console => console.SuppressStatusMessages = true);
        // What the host itself would say of a failed start or service is said below, or by FaultSignal, in one line.
        builder.Logging.AddCollectorConsole().AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        builder.Services.AddStorage(options).AddSessions(times).AddListening().AddStatus();
        return builder;
    }

    internal static async Task<int> RunAsync(HostApplicationBuilder builder, CancellationToken cancellation)
    {
        // Outlives the host, whose disposal may hang too.
        using Timer hardExit = new(_ => Environment.Exit(Failed));
        using IHost host = builder.Build();
        try
        {
            // The store first: what is wrong with it is a clearer message than what follows from it.
            host.Services.GetRequiredService<CollectorStore>();
            await host.StartAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"vsockpair serve: {e.Message}").ConfigureAwait(false);
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
