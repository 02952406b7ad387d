using System.Net.Sockets;
using VsockPair.Protocol;

namespace VsockPair.Sessions;

/// <summary>Counts what arrives of one large send. Silence tells the agent that this path loses large packets.</summary>
internal static class ProbeConnection
{
    public static async Task RunAsync(PeerConnection peer, GuestSession session, Welcome welcome, int bytes)
    {
        using PeerConnection connection = peer;
        if (bytes == 0)
        {
            session.Guest.Report(Violation.BadProbe, "probe");
            return;
        }
        connection.TrySend(welcome);
        Socket socket = connection.ToSocket();
        using CancellationTokenSource limit = new(Wire.ProbeTimeout + Wire.ProbeTimeout);
        byte[] buffer = GC.AllocateUninitializedArray<byte>(Wire.ProbeBytes);
        byte[] answer = new byte[32];
        try
        {
            for (int received = 0; received < bytes;)
            {
                int n = await socket.ReceiveAsync(buffer.AsMemory(0, bytes - received), SocketFlags.None, limit.Token).ConfigureAwait(false);
                if (n == 0)
                {
                    return;
                }
                received += n;
            }
            await socket.SendAsync(answer.AsMemory(0, Frame.Encode(new ProbeResult(bytes), answer)), SocketFlags.None, limit.Token).ConfigureAwait(false);
            if (await socket.ReceiveAsync(buffer, SocketFlags.None, limit.Token).ConfigureAwait(false) > 0)
            {
                session.Guest.Report(Violation.BadProbe, "probe");
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The agent gave up, or the bytes never came: that is what the probe is for.
        }
    }
}
