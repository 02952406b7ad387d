using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using VsockPair.Options;
using VsockPair.Sessions;
using VsockPair.Storage;

namespace VsockPair;

/// <summary><c>vsockpair serve</c>: binds, serves until it is told to stop, and leaves a store with every segment closed.</summary>
public static class ServeCommand
{
    /// <returns>0 after a stop in good order; 1 when it cannot start, with one line that says why, or when a part of it failed.</returns>
    public static Task<int> RunAsync(CollectorOptions options, CancellationToken cancellation) => RunAsync(Build(options, new SessionTimes()), cancellation);

    /// <summary>Every part of a collector that is not running yet.</summary>
    internal static HostApplicationBuilder Build(CollectorOptions options, SessionTimes times)
    {
        HostApplicationBuilder builder = CollectorServices.CreateBuilder();
        builder.Services.AddStorage(options).AddSessions(times).AddListening().AddStatus();
        return builder;
    }

    internal static Task<int> RunAsync(HostApplicationBuilder builder, CancellationToken cancellation) =>
        ServiceRun.RunAsync(builder, "serve", services => services.GetRequiredService<CollectorStore>(), cancellation);
}
