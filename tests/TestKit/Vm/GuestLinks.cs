using System.Net.Sockets;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// The three unix sockets between a guest's QEMU and the test: console, commands, QMP. The test listens and QEMU connects,
/// so that nothing a guest says is lost and no one polls for a socket to appear.
/// </summary>
internal sealed class GuestLinks : IDisposable
{
    public static readonly string[] Names = ["console", "command", "qmp"];

    private readonly string _prefix;
    private readonly Socket[] _listeners;

    /// <param name="prefix">Start of the sockets' paths; unix allows 107 bytes in all.</param>
    public GuestLinks(string prefix)
    {
        _prefix = prefix;
        _listeners = [.. Names.Select(Listen)];
    }

    public string PathOf(string link) => $"{_prefix}{link}.sock";

    /// <summary>The streams in the order of <see cref="Names"/>.</summary>
    public async Task<Stream[]> AcceptAsync(CancellationToken cancellationToken)
    {
        var streams = new List<Stream>();
        foreach (Socket listener in _listeners)
        {
            Socket socket = await listener.AcceptAsync(cancellationToken);
            streams.Add(new NetworkStream(socket, ownsSocket: true));
        }

        return [.. streams];
    }

    public void Dispose()
    {
        foreach (Socket listener in _listeners)
        {
            listener.Dispose();
        }
    }

    private Socket Listen(string link)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(PathOf(link)));
        listener.Listen(1);
        return listener;
    }
}
