using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Options;
using VsockPair.Sessions;
using VsockPair.Text;

namespace VsockPair.Watch;

/// <summary>The domains of one libvirt. Connects, again and again; what was found stays found while libvirt is away, for the machines go on.</summary>
internal sealed class LibvirtSource(string uri, FaultSignal faults, TimeProvider time, ILogger<LibvirtSource> log) : BackgroundService, IMachineSource
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    /// <summary>Events say when a domain comes or goes; one that was missed is made up for.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(10);

    private readonly HashSet<Guid> _renamed = [];
    private volatile IReadOnlyList<MachineEndpoint> _found = [];
    private volatile LibvirtConnection? _connection;
    private string? _failure;

    public IEnumerable<MachineEndpoint> Find() => _found;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        TimeSpan pause = FirstPause;
        try
        {
            LibvirtLoop.Start(faults);
            while (true)
            {
                try
                {
                    // virConnectOpen has no time limit, and a service start must not wait for it.
                    using LibvirtConnection connection = await Task.Run(() => LibvirtConnection.Connect(uri, time), stoppingToken).ConfigureAwait(false);
                    _connection = connection;
                    _failure = null;
                    pause = FirstPause;
                    log.LibvirtConnected(uri);
                    while (!connection.Closed.IsCompleted)
                    {
                        _found = [.. (await Task.Run(connection.List, stoppingToken).ConfigureAwait(false)).Select(Endpoint)];
                        await connection.WaitForChangeAsync(LookAgain, stoppingToken).ConfigureAwait(false);
                    }
                    Report("the connection has ended");
                }
                catch (MachineException e)
                {
                    Report(e.Message);
                }
                finally
                {
                    _connection = null;
                }
                await Task.Delay(pause, stoppingToken).ConfigureAwait(false);
                pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops.
        }
        catch (Exception e)
        {
            faults.Report("libvirt", e);
        }
    }

    private MachineEndpoint Endpoint(LibvirtDomain domain)
    {
        string name = domain.Argument;
        if (name != domain.Name && _renamed.Add(domain.Uuid))
        {
            log.DomainRenamed(TerminalText.EscapeShort(domain.Name), name, GuestName.Rule);
        }
        string source = $"libvirt:{uri}#{name}";
        return new MachineEndpoint(source, name, async stop =>
            await LibvirtMachine.ConnectAsync(_connection ?? throw new MachineException($"{uri} is not connected"), domain, name, source, time, stop).ConfigureAwait(false));
    }

    private void Report(string failure)
    {
        if (_failure != failure)
        {
            _failure = failure;
            log.LibvirtNotReached(uri, TerminalText.EscapeShort(failure));
        }
    }
}
