using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Cases;
using VsockPair.Listening;
using VsockPair.Options;
using VsockPair.Sessions;
using VsockPair.Status;
using VsockPair.Storage;

namespace VsockPair;

/// <summary>The parts of <c>serve</c>, one method per folder. Hosted services start in this order and stop in the opposite one.</summary>
internal static class CollectorServices
{
    public static IServiceCollection AddStorage(this IServiceCollection services, CollectorOptions options) => services
        .AddSingleton(options)
        .AddSingleton(TimeProvider.System)
        .AddSingleton<CollectorStore>()
        .AddSingleton(options.Store)
        .AddSingleton<DiskState>()
        .AddSingleton<HostAge>()
        .AddSingleton(provider => new CasePins(
            provider.GetRequiredService<CollectorStore>().Folder, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<CasePins>>()))
        .AddSingleton<Retention>()
        .AddSingleton(new CompressionTimes())
        .AddHostedService<Housekeeping>()
        .AddHostedService<Compressor>();

    public static IServiceCollection AddSessions(this IServiceCollection services, SessionTimes times) => services
        .AddSingleton(times)
        .AddSingleton<FaultSignal>()
        .AddSingleton<GlobalSlots>()
        .AddSingleton<SessionRegistry>()
        .AddSingleton<BulkLoops>()
        .AddSingleton<ConnectionAdmission>()
        .AddHostedService<SessionService>();

    public static IServiceCollection AddListening(this IServiceCollection services) => services
        .AddSingleton<IdentityMap>()
        .AddSingleton<AcceptLoop>()
        .AddSingleton<ListenerService>()
        .AddHostedService(provider => provider.GetRequiredService<ListenerService>());

    /// <summary>Last: once control.sock answers, the collector listens.</summary>
    public static IServiceCollection AddStatus(this IServiceCollection services) => services
        .AddSingleton<IControlAnswer, StatusAnswer>()
        .AddSingleton<IControlAnswer, TraceForwarder>()
        .AddHostedService(provider => new ControlServer(
            StorePaths.ControlSocket(provider.GetRequiredService<CollectorStore>().Folder), provider.GetServices<IControlAnswer>(), [], provider.GetRequiredService<FaultSignal>()));

    /// <summary>A service without parts, that logs to the console.</summary>
    public static HostApplicationBuilder CreateBuilder()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.Configure<ConsoleLifetimeOptions>(console => console.SuppressStatusMessages = true);
        // What the host itself would say of a failed start or service is said by ServiceRun and FaultSignal, in one line.
        builder.Logging.AddCollectorConsole().AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        return builder;
    }

    private static ILoggingBuilder AddCollectorConsole(this ILoggingBuilder logging) => logging.AddSimpleConsole(console =>
    {
        console.SingleLine = true;
        console.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z' ";
        console.UseUtcTimestamp = true;
    });
}
