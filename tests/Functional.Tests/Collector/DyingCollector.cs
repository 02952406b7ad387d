using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using VsockPair.Linux;
using VsockPair.Sessions;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>
/// This assembly as a program: the real collector, one of whose bulk loops is killed once the file <see cref="Trigger"/> is in the folder of its socket, and which may have a
/// part that never stops. In a process of its own, for it ends that process.
/// </summary>
internal static class DyingCollector
{
    public const string Trigger = "kill";

    private static async Task<int> Main(string[] args)
    {
        (string store, string vmmSocket, bool hangs) = (args[0], args[1], bool.Parse(args[2]));
        HostApplicationBuilder builder = ServeCommand.Build(
            InProcessCollector.OptionsFor(store, vmmSocket), new SessionTimes { FaultPatience = hangs ? TimeSpan.FromSeconds(2) : ScriptedGuestLink.DefaultPatience });
        builder.Services.AddHostedService(services => new LoopKiller(
            services.GetRequiredService<SessionRegistry>(), services.GetRequiredService<BulkLoops>(), services.GetRequiredService<GlobalSlots>(),
            Path.Combine(Path.GetDirectoryName(vmmSocket)!, Trigger)));
        if (hangs)
        {
            builder.Services.AddHostedService<NeverStops>();
        }
        return await ServeCommand.RunAsync(builder, CancellationToken.None);
    }

    public static CollectorProcess Start(TestStore store, bool hangs) =>
        new("dotnet", typeof(DyingCollector).Assembly.Location, store.Folder, store.VmmSocket, hangs.ToString());

    private sealed class LoopKiller(SessionRegistry registry, BulkLoops loops, GlobalSlots slots, string trigger) : BackgroundService
    {
        /// <summary>No process has so many files: epoll_ctl answers EBADF, which no loop expects.</summary>
        private const int NoDescriptor = 1 << 30;

        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            while (!File.Exists(trigger))
            {
                await Task.Delay(20, stoppingToken);
            }
            GuestSession session = registry.Sessions.Single();
            BulkLoop loop = loops.Choose();
            loop.Add(new BulkConnection(new PeerConnection(new Fd(NoDescriptor), session.Guest, default, slots), session, session.Boot.Streams.First(), 4096, loop));
        }
    }

    private sealed class NeverStops : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.Delay(Timeout.Infinite, CancellationToken.None);
    }
}
