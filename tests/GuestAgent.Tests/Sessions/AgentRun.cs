using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.TestKit.Collector;

namespace VsockPair.GuestAgent.Tests.Sessions;

/// <summary>The whole agent in this process, over unix sockets, in a <see cref="FakeGuest"/>, against a <see cref="ScriptedCollector"/>.</summary>
internal sealed class AgentRun : IAsyncDisposable, IHostConnector
{
    private readonly StopRequest _stop = new();
    private readonly AgentState _state;
    private readonly Agent _agent;
    private readonly Task _running;

    public AgentRun(Action<AgentRun>? script = null, AgentOptions? options = null, Action<FakeGuest>? prepare = null, double longestBackoff = 0.2, double deadAfter = 1, double previousWait = 60)
    {
        prepare?.Invoke(Guest);
        Collector = new ScriptedCollector(Path.Combine(Guest.Root, "collector"));
        Collector.OnHello = hello => Welcome(hello);
        script?.Invoke(this);
        _state = AgentState.Open(Guest.Paths.State, Guest.BootId)!;
        _agent = Agent.Start(options ?? new AgentOptions { Events = ["sched"] }, Guest.Paths, GuestIdentity.Read(Guest.Paths), _state, this, _stop, new Timings
        {
            Handshake = TimeSpan.FromSeconds(0.5),
            Heartbeat = TimeSpan.FromSeconds(0.1),
            DeadAfter = TimeSpan.FromSeconds(deadAfter),
            Counters = TimeSpan.FromSeconds(0.2),
            Probe = TimeSpan.FromSeconds(0.3),
            Refresh = TimeSpan.FromSeconds(0.2),
            StopDrain = TimeSpan.FromSeconds(2),
            Formats = TimeSpan.FromSeconds(1),
            Orphaned = TimeSpan.FromSeconds(1),
            PreviousWait = TimeSpan.FromSeconds(previousWait),
            LongestBackoff = TimeSpan.FromSeconds(longestBackoff),
        });
        _running = Task.Run(() => new ConnectLoop(_agent).Run());
    }

    public FakeGuest Guest { get; } = new();

    public ScriptedCollector Collector { get; }

    public Guid Token { get; } = Guid.NewGuid();

    public GuestNotes Notes => _agent.Notes;

    public string Target => "test";

    public Fd Connect(ConnectionKind kind) => StreamSocket.ConnectUnix(Collector.Path);

    public Welcome Welcome(Hello hello, int maxCpus = 64, ulong nextSequence = 0) =>
        new(1, hello.Kind == ConnectionKind.Control ? Guid.NewGuid() : Guid.Empty, Token, nextSequence, maxCpus, CollectorCapabilities.PreviousTrace);

    public IReadOnlyList<Hello> Hellos(ConnectionKind kind) => [.. Collector.Hellos.Where(h => h.Kind == kind)];

    public CollectedConnection? Bulk(int cpu) => Collector.Connections.LastOrDefault(c => c.Hello.Kind == ConnectionKind.Bulk && c.Hello.Bulk.Cpu == cpu);

    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        for (int i = 0; !condition(); i++)
        {
            Assert.True(i < 1000, $"waited 10 s in vain for {what}");
            await Task.Delay(10);
        }
    }

    /// <summary>As SIGTERM does.</summary>
    public async Task StopAsync()
    {
        _stop.Request();
        await _running.WaitAsync(TimeSpan.FromSeconds(10));
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Collector.DisposeAsync();
        _agent.Dispose();
        Guest.Dispose();
    }
}
