using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Connections;

/// <summary>The production way to the collector. Only the control connection shows a privileged port, of which a guest has 512.</summary>
internal sealed class VsockConnector(VsockAddress host) : IHostConnector
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(2);

    public string Target { get; } = $"vsock {host.ToString()}";

    public Fd Connect(ConnectionKind kind)
    {
        int window = kind is ConnectionKind.Bulk or ConnectionKind.Probe ? StreamSocket.BulkWindowBytes : 0;
        return StreamSocket.ConnectVsock(host, privileged: kind == ConnectionKind.Control, window, ConnectTimeout);
    }
}
