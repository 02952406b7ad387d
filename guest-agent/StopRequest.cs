using System.Runtime.InteropServices;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>SIGTERM and SIGINT become a flag and a wake-up of the main thread, which ends everything in order.</summary>
internal sealed class StopRequest : IDisposable
{
    private PosixSignalRegistration? _terminate;
    private PosixSignalRegistration? _interrupt;
    private volatile bool _requested;

    public WakeEvent Wake { get; } = new();

    public bool IsRequested => _requested;

    public void OnSignals()
    {
        _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Request);
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Request);
    }

    public void Request()
    {
        _requested = true;
        Wake.Set();
    }

    private void Request(PosixSignalContext signal)
    {
        signal.Cancel = true;
        Request();
    }

    public void Dispose()
    {
        _terminate?.Dispose();
        _interrupt?.Dispose();
        Wake.Dispose();
    }
}
