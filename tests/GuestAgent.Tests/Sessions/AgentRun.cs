using System.Diagnostics;
using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.TestKit.Collector;

namespace VsockPair.GuestAgent.Tests.Sessions;

/// <summary>The whole agent in this process, over unix sockets, in a <see cref="FakeGuest"/>, against a <see cref="ScriptedCollector"/>.</summary>
internal sealed class AgentRun : IAsyncDisposable, IHostConnector
{
    /// <summary>For what must happen, on a machine as busy as it may be: only a failing test waits so long.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly StopRequest _stop = new();
    private readonly AgentState _state;
    private readonly Agent _agent;
    private readonly Task _running;

    /// <summary>
    /// What the agent does by itself every few seconds it does several times a second here. What it gives up on, and when, is as patient as the tests:
    /// a limit that a busy machine can cross ends a session behind a test's back. A test of such a limit shortens that one.
    /// </summary>
    public AgentRun(
        Action<AgentRun>? script = null,
        AgentOptions? options = null,
        Action<FakeGuest>? prepare = null,
        double longestBackoff = 0.2,
        double handshake = 60,
        double deadAfter = 60,
        double probe = 60,
        double stopDrain = 30,
        double formats = 60,
        double orphaned = 60)
    {
        prepare?.Invoke(Guest);
        Collector = new ScriptedCollector(Path.Combine(Guest.Root, "collector"));
        Collector.OnHello = hello => Welcome(hello);
        script?.Invoke(this);
        _state = AgentState.Open(Guest.Paths.State, Guest.BootId)!;
        _agent = Agent.Start(options ?? new AgentOptions { Events = ["sched"] }, Guest.Paths, GuestIdentity.Read(Guest.Paths), _state, this, _stop, new Timings
        {
            Handshake = TimeSpan.FromSeconds(handshake),
            Heartbeat = TimeSpan.FromSeconds(0.1),
            DeadAfter = TimeSpan.FromSeconds(deadAfter),
            Counters = TimeSpan.FromSeconds(0.2),
            Probe = TimeSpan.FromSeconds(probe),
            Refresh = TimeSpan.FromSeconds(0.2),
            StopDrain = TimeSpan.FromSeconds(stopDrain),
            Formats = TimeSpan.FromSeconds(formats),
            Dismiss = Patience,
            Orphaned = TimeSpan.FromSeconds(orphaned),
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
        new(1, hello.Kind == ConnectionKind.Control ? Guid.NewGuid() : Guid.Empty, Token, nextSequence, maxCpus);

    public IReadOnlyList<Hello> Hellos(ConnectionKind kind) => [.. Collector.Hellos.Where(h => h.Kind == kind)];

    public CollectedConnection? Bulk(int cpu) => Collector.Connections.LastOrDefault(c => c.Hello.Kind == ConnectionKind.Bulk && c.Hello.Bulk.Cpu == cpu);

    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience, $"waited {Patience.TotalSeconds} s in vain for {what}");
            await Task.Delay(10);
        }
    }

    /// <summary>As SIGTERM does.</summary>
    public async Task StopAsync()
    {
        _stop.Request();
        await _running.WaitAsync(Patience);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Collector.DisposeAsync();
        _agent.Dispose();
        Guest.Dispose();
    }
}
