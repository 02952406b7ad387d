using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using VsockPair.Status;
using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>Asks the running collector at <c>control.sock</c>.</summary>
internal static class LiveStatus
{
    private const int TimeoutMilliseconds = 2000;

    /// <param name="missing">Why there is no answer, as the beginning of a sentence.</param>
    /// <returns>Null when there is no answer: commands work on files alone then, and say so.</returns>
    public static CollectorStatus? TryAsk(string store, out string missing)
    {
        string path = StorePaths.ControlSocket(store);
        try
        {
            // A missing socket file is the ordinary case of a store that is only looked at.
            missing = "vsockpair serve is not running";
            if (!File.Exists(path))
            {
                return null;
            }
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            {
                SendTimeout = TimeoutMilliseconds,
                ReceiveTimeout = TimeoutMilliseconds,
            };
            socket.Connect(new UnixDomainSocketEndPoint(path));
            byte[] request = JsonSerializer.SerializeToUtf8Bytes(new StatusRequest { Command = StatusRequest.Status }, StatusJson.Default.StatusRequest);
            SendAll(socket, [.. request, (byte)'\n']);
            return JsonSerializer.Deserialize(ReceiveAll(socket), StatusJson.Default.CollectorStatus);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            // The file of a collector that was killed.
            missing = "vsockpair serve is not running";
        }
        catch (Exception e) when (e is SocketException or JsonException or ArgumentException)
        {
            missing = $"vsockpair serve does not answer at {path} ({e.Message})";
        }
        return null;
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
