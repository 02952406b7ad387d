using System.Runtime.InteropServices;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>SIGTERM and SIGINT become a flag and a wake-up of the main thread, which ends everything in order.</summary>
internal sealed class StopRequest : IDisposable
{
    private readonly List<PosixSignalRegistration> _signals = [];
    private volatile bool _requested;

    public WakeEvent Wake { get; } = new();

    public bool IsRequested => _requested;

    public void OnSignals()
    {
        foreach (PosixSignal signal in (PosixSignal[])[PosixSignal.SIGTERM, PosixSignal.SIGINT])
        {
            _signals.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                Request();
            }));
        }
    }

    public void Request()
    {
        _requested = true;
        Wake.Set();
    }

    public void Dispose()
    {
        _signals.ForEach(s => s.Dispose());
        Wake.Dispose();
    }
}
