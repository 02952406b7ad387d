using System.Net.Sockets;
using System.Text;

namespace VsockPair.Commands;

/// <summary>The client's side of <c>control.sock</c> and <c>watch.sock</c>.</summary>
internal static class ControlSocket
{
    /// <summary>One line out, one line in.</summary>
    /// <exception cref="SocketException">There is no collector, or no answer in time.</exception>
    public static string Ask(string path, byte[] request, TimeSpan patience)
    {
        using Socket socket = Send(path, request, patience);
        return ReceiveAll(socket);
    }

    /// <summary>One line out, and lines in as they come.</summary>
    /// <param name="patience">For each of them.</param>
    /// <exception cref="SocketException">There is no service, or no line in time.</exception>
    public static IEnumerable<string> AskLines(string path, byte[] request, TimeSpan patience)
    {
        using Socket socket = Send(path, request, patience);
        using MemoryStream pending = new();
        byte[] buffer = new byte[1 << 12];
        int received;
        while ((received = socket.Receive(buffer)) > 0)
        {
            for (int from = 0; from < received;)
            {
                int end = Array.IndexOf(buffer, (byte)'\n', from, received - from);
                pending.Write(buffer, from, (end < 0 ? received : end) - from);
                from = end < 0 ? received : end + 1;
                if (end >= 0)
                {
                    yield return Encoding.UTF8.GetString(pending.GetBuffer(), 0, (int)pending.Length);
                    pending.SetLength(0);
                }
            }
        }
    }

    private static Socket Send(string path, byte[] request, TimeSpan patience)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
        {
            SendTimeout = (int)patience.TotalMilliseconds,
            ReceiveTimeout = (int)patience.TotalMilliseconds,
        };
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            SendAll(socket, [.. request, (byte)'\n']);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static void SendAll(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[socket.Send(bytes)..];
        }
    }

    private static string ReceiveAll(Socket socket)
    {
        using MemoryStream answer = new();
        byte[] buffer = new byte[1 << 16];
        int received;
        while ((received = socket.Receive(buffer)) > 0)
        {
            answer.Write(buffer, 0, received);
        }
        return Encoding.UTF8.GetString(answer.GetBuffer(), 0, (int)answer.Length);
    }
}
