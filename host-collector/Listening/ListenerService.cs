using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Options;
using VsockPair.Sessions;

namespace VsockPair.Listening;

/// <summary>Opens every listener that was asked for before the collector says that it has started, and closes them first when it stops.</summary>
internal sealed class ListenerService : IHostedService, IDisposable
{
    private readonly CollectorOptions _options;
    private readonly AcceptLoop _accept;
    private readonly HybridSockets _hybrid;
    private readonly ILogger _log;

    public ListenerService(CollectorOptions options, AcceptLoop accept, FaultSignal faults, ILogger<HybridSockets> log)
    {
        _options = options;
        _accept = accept;
        _log = log;
        IEnumerable<ListenSpec> ofGuests = options.Guests.Where(g => g.Socket is not null).Select(g => new HybridListen(g.Socket!, g.Name));
        Specs = [.. options.Listen.Specs.Concat(ofGuests)];
        _hybrid = new HybridSockets(Specs, accept, faults, log);
    }

    public IReadOnlyList<ListenSpec> Specs { get; }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (Listener listener in VsockListeners.Open(_options.Listen.Specs))
        {
            _accept.Add(listener);
            _log.Listening(listener.Text);
        }
        await _hybrid.StartAsync(cancellationToken).ConfigureAwait(false);
        _accept.Start();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _hybrid.StopAsync(cancellationToken).ConfigureAwait(false);
        _accept.Stop();
    }

    public void Dispose() => _hybrid.Dispose();
}
