using System.Globalization;

namespace VsockPair.TestKit.Vm;

/// <summary>A guest with the real agent in it, and the guest kernel's own figures of what it traced.</summary>
public sealed class AgentGuest : IAsyncDisposable
{
    private const string Instance = "/sys/kernel/tracing/instances/vsockpair";

    private AgentGuest(Guest guest, int cpus)
    {
        Guest = guest;
        Cpus = cpus;
    }

    public Guest Guest { get; }

    public int Cpus { get; }

    public string Name => Guest.Name;

    /// <summary>Boots a guest whose agent starts with each boot. <paramref name="configuration"/> is its agent.conf.</summary>
    public static async Task<AgentGuest> StartAsync(GuestOptions options, string configuration = "", CancellationToken cancellationToken = default) =>
        new(await Guest.StartAsync(await OptionsAsync(options, configuration), cancellationToken), options.Cpus);

    /// <summary>A guest that was booted with <see cref="OptionsAsync"/>.</summary>
    public static AgentGuest Attach(Guest guest, int cpus) => new(guest, cpus);

    /// <summary>Adds the agent, its configuration and the loads.</summary>
    public static async Task<GuestOptions> OptionsAsync(GuestOptions options, string configuration) => options with
    {
        Files = new Dictionary<string, string>(options.Files)
        {
            ["/bin/vsockpair-agent"] = CollectorProcess.AgentBinary,
            ["/bin/trace-load"] = await StaticProgram.TraceLoadAsync(),
            ["/bin/kmsg-load"] = await StaticProgram.KmsgLoadAsync(),
            ["/bin/kmsg-dump"] = await StaticProgram.KmsgDumpAsync(),
        },
        Texts = new Dictionary<string, string>(options.Texts) { ["/etc/vsockpair/agent.conf"] = configuration },
        InitScript = options.InitScript + "\nvsockpair-agent >/run/agent.log 2>&1 &\n",
    };

    public async Task StartAgentAsync() => (await Guest.RunAsync("vsockpair-agent >>/run/agent.log 2>&1 &")).EnsureSuccess();

    /// <summary>SIGTERM and wait for the orderly end.</summary>
    public async Task StopAgentAsync()
    {
        CommandResult result = await Guest.RunAsync("kill -TERM $(pidof vsockpair-agent) && while pidof vsockpair-agent >/dev/null; do usleep 50000; done");
        result.EnsureSuccess();
    }

    /// <summary>Waits until the agent has a session and knows whether large packets pass, which it says last.</summary>
    public async Task WaitForSessionAsync(TimeSpan? timeout = null)
    {
        try
        {
            await Eventually.TrueAsync(
                async () => (await AgentLogAsync()).Contains("64 KiB packets", StringComparison.Ordinal), timeout ?? TimeSpan.FromSeconds(60), "the agent's session", Guest);
        }
        catch (GuestException e)
        {
            throw new GuestException($"{e.Message}\n--- agent ---\n{await AgentLogAsync()}", e);
        }
    }

    public async Task<string> AgentLogAsync() => (await Guest.RunAsync("cat /run/agent.log")).Text;

    /// <summary>Runs the trace load; returns when it has ended.</summary>
    public async Task LoadAsync(double seconds, long bytesPerSecondAndCpu)
    {
        string command = string.Create(CultureInfo.InvariantCulture, $"trace-load {Cpus} {seconds} {bytesPerSecondAndCpu} {Instance}/trace_marker_raw");
        (await Guest.RunAsync(command, TimeSpan.FromSeconds(seconds + 120))).EnsureSuccess();
    }

    /// <summary>The ring's own counters.</summary>
    public async Task<RingStats> StatsAsync(int cpu)
    {
        string text = (await Guest.RunAsync($"cat {Instance}/per_cpu/cpu{cpu}/stats")).EnsureSuccess().Text;
        Dictionary<string, long> figures = [];
        foreach (string[] parts in text.Split('\n').Select(line => line.Split(": ")).Where(parts => parts.Length == 2))
        {
            if (long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out long figure))
            {
                figures[parts[0]] = figure;
            }
        }
        return new RingStats(figures["entries"], figures["overrun"] + figures["commit overrun"] + figures["dropped events"], figures["read events"]);
    }

    public ValueTask DisposeAsync() => Guest.DisposeAsync();
}

/// <summary>Events in the ring, lost in it, and read out of it, since it began.</summary>
public sealed record RingStats(long Entries, long Lost, long Read)
{
    public long Generated => Entries + Lost + Read;
}
