using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Connections;

/// <summary>Opens stream connections to the collector.</summary>
internal interface IHostConnector
{
    /// <summary>For log lines: <c>vsock 2:829</c>.</summary>
    string Target { get; }

    /// <exception cref="LinuxException">There is no connection.</exception>
    Fd Connect(ConnectionKind kind);
}
