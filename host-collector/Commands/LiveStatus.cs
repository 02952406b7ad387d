using System.Net.Sockets;
using System.Text.Json;
using VsockPair.Status;
using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>Asks the running collector at <c>control.sock</c>.</summary>
internal static class LiveStatus
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

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
            byte[] request = JsonSerializer.SerializeToUtf8Bytes(new ControlRequest { Command = CollectorStatus.Command }, ControlJson.Default.ControlRequest);
            return JsonSerializer.Deserialize(ControlSocket.Ask(path, request, Patience), ControlJson.Default.CollectorStatus);
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
}
