using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Cases;
using VsockPair.Commands;
using VsockPair.Options;
using VsockPair.Sessions;
using VsockPair.Status;
using VsockPair.Storage;
using VsockPair.Watch;

namespace VsockPair;

/// <summary><c>vsockpair watch</c>: the crash service. Has a way to the machines, and parses nothing that a guest wrote.</summary>
internal static class WatchCommand
{
    public const string Description = "The crash service: sees guests crash, keeps their memory, log and trace as a case, and lets them go on";

    /// <summary>How long a stop may take: a memory that is being written is waited for, and its guest let go.</summary>
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(40);

    /// <exception cref="CommandFailure">There is nothing to watch.</exception>
    public static Task<int> RunAsync(CollectorOptions options, CancellationToken cancellation)
    {
        if (options.Watch.Libvirt is string uri)
        {
            CheckLibvirt(uri);
        }
        return options.Watch.Qmp.Count > 0 || options.Watch.Libvirt is not null
            ? RunAsync(Build(options, new CloserTimes()), cancellation)
            : throw new CommandFailure(ExitCode.Usage, $"watch: which machines? Name them with --qmp {QmpSpec.SocketForm} or --qmp-dir '{QmpSpec.TemplateForm}', all of libvirt's with --libvirt qemu:///system, or in [Watch] of the configuration");
    }

    private static void CheckLibvirt(string uri)
    {
        if (LibvirtUri.WhyNot(uri) is string reason)
        {
            throw new CommandFailure(ExitCode.Usage, $"watch: {reason}");
        }
        if (!LibvirtLibrary.IsInstalled)
        {
            throw new CommandFailure(ExitCode.Failed, $"watch: {LibvirtLibrary.Missing}");
        }
    }

    internal static HostApplicationBuilder Build(CollectorOptions options, CloserTimes times)
    {
        HostApplicationBuilder builder = CollectorServices.CreateBuilder();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = StopLimit);
        if (options.Watch.Libvirt is string uri)
        {
            // Before those who watch its machines, so that it is stopped after them.
            builder.Services.AddLibvirt(uri);
        }
        builder.Services.AddWatch(options, times);
        return builder;
    }

    internal static Task<int> RunAsync(HostApplicationBuilder builder, CancellationToken cancellation) =>
        ServiceRun.RunAsync(builder, "watch", services => services.GetRequiredService<WatchStore>(), cancellation);

    private static void AddLibvirt(this IServiceCollection services, string uri) => services
        .AddSingleton(provider => new LibvirtSource(uri, provider.GetRequiredService<FaultSignal>(), TimeProvider.System, provider.GetRequiredService<ILogger<LibvirtSource>>()))
        .AddSingleton<IMachineSource>(provider => provider.GetRequiredService<LibvirtSource>())
        .AddHostedService(provider => provider.GetRequiredService<LibvirtSource>());

    private static IServiceCollection AddWatch(this IServiceCollection services, CollectorOptions options, CloserTimes times) => services
        .AddSingleton(options)
        .AddSingleton(options.Watch)
        .AddSingleton(times)
        .AddSingleton(new SessionTimes())
        .AddSingleton(TimeProvider.System)
        .AddSingleton<FaultSignal>()
        .AddSingleton<WatchStore>()
        .AddSingleton(new BootFinder(options.StoreDirectory))
        .AddSingleton<CaseFolders>()
        .AddSingleton(CaseChild.OfThisProgram())
        .AddSingleton<CaseWork>()
        .AddSingleton<DumpBrake>()
        .AddSingleton<PauseEstimate>()
        .AddSingleton<MemoryCapture>()
        .AddSingleton<EventFeed>()
        .AddSingleton<IdentityFolder>()
        .AddSingleton<UncleanBoots>()
        .AddSingleton<HostAge>()
        .AddSingleton(provider => new CaseRetention(
            options.StoreDirectory, options.Store, options.Watch, provider.GetRequiredService<HostAge>(), TimeProvider.System, provider.GetRequiredService<ILogger<CaseRetention>>()))
        .AddSingleton<WatchParts>()
        .AddSingleton<IMachineSource>(new QmpSource(options.Watch.Qmp, TimeProvider.System))
        .AddSingleton<MachineFinder>()
        .AddSingleton<CaseCloser>()
        .AddHostedService(provider => provider.GetRequiredService<MachineFinder>())
        .AddHostedService(provider => provider.GetRequiredService<CaseCloser>())
        .AddSingleton<IControlAnswer, WatchStatusAnswer>()
        .AddSingleton<IControlStream, EventsAnswer>()
        .AddSingleton<IControlStream, DumpAnswer>()
        .AddHostedService(provider => new ControlServer(
            provider.GetRequiredService<WatchStore>().Socket, provider.GetServices<IControlAnswer>(), provider.GetServices<IControlStream>(), provider.GetRequiredService<FaultSignal>()));
}
