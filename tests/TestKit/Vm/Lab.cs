using VsockPair.TestKit.Store;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// One host: a store, the real collector on it, and a folder where the guests' hybrid sockets appear. Guests are found there by their names while the collector runs.
/// </summary>
public sealed class Lab : IAsyncDisposable
{
    /// <summary>Above what the tests' loads produce, so that the budget is not what they measure.</summary>
    public const string AmpleRates = "[Limits]\nGuestRate=64M\nHostRate=256M\n";

    private readonly string _folder = Directory.CreateTempSubdirectory("vsockpair-lab-").FullName;
    private readonly List<AgentGuest> _guests = [];
    private readonly List<LibvirtDomain> _domains = [];
    private WatchProcess? _watch;

    public Lab(string configuration = AmpleRates)
    {
        Directory.CreateDirectory(VsockDirectory);
        Collector = new CollectorProcess(Path.Combine(_folder, "store"), configuration, $"hybrid:{VsockDirectory}/{{name}}.vsock");
    }

    public CollectorProcess Collector { get; }

    /// <summary>The crash service of this host, once it was made.</summary>
    public WatchProcess Watch => _watch ?? throw new InvalidOperationException("this lab has no crash service");

    private string VsockDirectory => Path.Combine(_folder, "vms");

    /// <summary>Makes the crash service; its guests are those with <see cref="WithQmp"/>.</summary>
    /// <param name="configuration">INI text.</param>
    /// <param name="libvirt">Whose domains are its guests as well.</param>
    public WatchProcess AddWatch(string configuration = "[Store]\nKeepFree=0%\n", LibvirtHost? libvirt = null) =>
        _watch = new WatchProcess(Collector.Store, configuration, $"{VsockDirectory}/{{name}}.qmp", libvirt);

    /// <summary>A guest that the lab's crash service finds: QEMU serves one client of a socket, and the rig has its own.</summary>
    public GuestOptions WithQmp(GuestOptions options) =>
        options with { QemuArguments = [.. options.QemuArguments, "-qmp", $"unix:{Path.Combine(VsockDirectory, options.Name)}.qmp,server=on,wait=off"] };

    /// <summary>The guest belongs to the lab and ends with it.</summary>
    public async Task<AgentGuest> StartGuestAsync(GuestOptions options, string agentConfiguration = "")
    {
        AgentGuest guest = await AgentGuest.StartAsync(options with { VsockDirectory = VsockDirectory }, agentConfiguration);
        lock (_guests)
        {
            _guests.Add(guest);
        }
        return guest;
    }

    /// <summary>The same as a domain of libvirt's.</summary>
    /// <param name="onCrash">Of the domain.</param>
    public async Task<AgentGuest> StartDomainAsync(LibvirtHost libvirt, GuestOptions options, string onCrash)
    {
        LibvirtDomain domain = await LibvirtDomain.StartAsync(libvirt, await AgentGuest.OptionsAsync(options with { VsockDirectory = VsockDirectory }, ""), onCrash);
        _domains.Add(domain);
        return AgentGuest.Attach(domain.Guest, options.Cpus);
    }

    public StoredGuest Stored(string name) => new(Collector.Store, name);

    /// <summary>Waits for a condition; a failure shows what both programs and the guest's console said.</summary>
    public async Task AwaitAsync(AgentGuest guest, Func<bool> condition, TimeSpan timeout, string what)
    {
        try
        {
            await Eventually.TrueAsync(condition, timeout, what, guest.Guest);
        }
        catch (GuestException e)
        {
            string log = guest.Guest.IsUp ? await guest.AgentLogAsync() : "the guest is not up";
            throw new GuestException($"{e.Message}\n--- agent ---\n{log}\n--- collector ---\n{Collector.Output}\n--- watch ---\n{_watch?.Output}", e);
        }
    }

    /// <summary>
    /// Waits until the guest's newest boot has every vCPU's stream and all metadata in the store. The large files (symbols, types) cross once per kernel, after the
    /// streams have begun; on an emulated CPU that is seconds of work beside the load.
    /// </summary>
    public Task WaitForStreamsAsync(AgentGuest guest) => AwaitAsync(
        guest,
        () => Stored(guest.Name).Boots is [.., StoredBoot boot] && Enumerable.Range(0, guest.Cpus).All(cpu => boot.Segments(cpu).Count > 0)
            && boot.MetadataNames.Contains("kallsyms") && boot.MetadataNames.Contains("btf"),
        TimeSpan.FromSeconds(90),
        $"segments of all {guest.Cpus} vCPUs of {guest.Name}, and its metadata");

    /// <summary>Stops the agent in good order and waits until its boot is ended in the store.</summary>
    public async Task EndAsync(AgentGuest guest)
    {
        await guest.StopAgentAsync();
        await AwaitAsync(
            guest,
            () => Stored(guest.Name).Boots[^1].Record["ended"] is not null,
            TimeSpan.FromSeconds(20),
            $"boot.json of {guest.Name} to say that it ended");
    }

    /// <summary>As if the host had lost power: nothing in the guests ends in order.</summary>
    public async Task KillGuestsAsync()
    {
        foreach (AgentGuest guest in _guests)
        {
            await guest.DisposeAsync();
        }
        _guests.Clear();
    }

    public async ValueTask DisposeAsync()
    {
        await KillGuestsAsync();
        foreach (LibvirtDomain domain in _domains)
        {
            await domain.DisposeAsync();
        }
        if (_watch is not null)
        {
            await _watch.DisposeAsync();
        }
        await Collector.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
