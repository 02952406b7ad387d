using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent.Connections;

/// <summary>
/// Finds out whether this path carries 64 KiB packets: send() succeeds even where they are lost, so only the collector's answer tells. Runs beside the
/// session, whose sends stay small until it has succeeded.
/// </summary>
internal sealed unsafe class PathProbe(IHostConnector host, SessionLink link, WakeEvent wake)
{
    /// <returns>Null when large packets pass, else what happened instead.</returns>
    public string? Run()
    {
        try
        {
            using Fd socket = host.Connect(ConnectionKind.Probe);
            SocketWait.MakeNonBlocking(socket.Value);
            Hello hello = new()
            {
                OldestVersion = Wire.OldestVersion,
                NewestVersion = Wire.NewestVersion,
                Kind = ConnectionKind.Probe,
                BootId = link.BootId,
                Token = link.Token,
                ProbeBytes = Wire.ProbeBytes,
            };
            Handshake.Exchange(socket.Value, hello, link.Timings.Handshake, wake, () => link.IsClosed);
            byte[] large = new byte[Wire.ProbeBytes];
            fixed (byte* p = large)
            {
                int sent = Sys.Send(socket.Value, p, large.Length, MSG_DONTWAIT);
                if (sent != large.Length)
                {
                    return sent < 0 ? Errno.Describe(-sent) : $"only {sent} bytes fit into the window";
                }
            }
            using FrameChannel channel = new(socket, wake, _ => true);
            return AwaitResult(channel);
        }
        catch (Exception e) when (e is LinuxException or RefusedException)
        {
            return e.Message;
        }
    }

    private string? AwaitResult(FrameChannel channel)
    {
        long deadline = Environment.TickCount64 + (long)link.Timings.Probe.TotalMilliseconds;
        while (true)
        {
            bool open = channel.Receive();
            if (channel.TryTake(out ReadOnlySpan<byte> body))
            {
                return !Frame.TryDecode(body, out ProbeResult result) ? "the collector's answer is not one"
                    : result.Bytes == Wire.ProbeBytes ? null : $"{result.Bytes} of {Wire.ProbeBytes} bytes arrived";
            }
            long left = deadline - Environment.TickCount64;
            if (!open || left <= 0 || link.IsClosed)
            {
                return open ? $"no answer within {(int)link.Timings.Probe.TotalSeconds} s" : "the collector closed the connection";
            }
            SocketWait.For(channel.Socket, POLLIN, wake, (int)left);
        }
    }
}
