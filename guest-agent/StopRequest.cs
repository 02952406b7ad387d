using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>SIGTERM and SIGINT become a flag and a wake-up of the main thread, which ends everything in order.</summary>
internal sealed class StopRequest : IDisposable
{
    private volatile bool _requested;

    public WakeEvent Wake { get; } = new();

    public bool IsRequested => _requested;

    /// <summary>From now on the process's stop signals go here.</summary>
    public void OnSignals() => StopSignals.Deliver(this);

    public void Request()
    {
        _requested = true;
        Wake.Set();
    }

    public void Dispose() => Wake.Dispose();
}
