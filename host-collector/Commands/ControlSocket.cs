using System.Net.Sockets;
using System.Text;

namespace VsockPair.Commands;

/// <summary>The client's side of <c>control.sock</c>.</summary>
internal static class ControlSocket
{
    /// <summary>One line out, one line in.</summary>
    /// <exception cref="SocketException">There is no collector, or no answer in time.</exception>
    public static string Ask(string path, byte[] request, TimeSpan patience)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
        {
            SendTimeout = (int)patience.TotalMilliseconds,
            ReceiveTimeout = (int)patience.TotalMilliseconds,
        };
        socket.Connect(new UnixDomainSocketEndPoint(path));
        SendAll(socket, [.. request, (byte)'\n']);
        return ReceiveAll(socket);
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
