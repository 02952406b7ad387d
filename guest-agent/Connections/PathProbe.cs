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
    /// <returns>Null when large packets pass, else what shows that they do not.</returns>
    /// <exception cref="LinuxException">There was no connection, or it broke: nothing is known of the path.</exception>
    /// <exception cref="RefusedException">Likewise.</exception>
    public string? Run()
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
                LinuxException.Check(sent, "send", "probe");
                return $"only {sent} bytes fit into the window";
            }
        }
        using FrameChannel channel = new(socket, wake, _ => true);
        return AwaitResult(channel);
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
            if (!open || link.IsClosed)
            {
                throw new LinuxException("recv", Errno.ECONNRESET, "probe");
            }
            if (left <= 0)
            {
                return $"no answer within {link.Timings.Probe.TotalSeconds:0.#} s";
            }
            SocketWait.For(channel.Socket, POLLIN, wake, (int)left);
        }
    }
}
