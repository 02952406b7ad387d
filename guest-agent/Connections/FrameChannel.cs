using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent.Connections;

/// <summary>
/// Frames over one non-blocking connection. One thread. A send waits for the peer as long as <c>giveUp</c> allows, and can be woken meanwhile.
/// </summary>
internal sealed unsafe class FrameChannel : IDisposable
{
    private readonly Fd _socket;
    private readonly WakeEvent _wake;
    private readonly Func<long, bool> _giveUp;
    private readonly FrameBuffer _received = new() { FrameLimit = Wire.MaxFrameBytes };
    private readonly byte[] _output = GC.AllocateUninitializedArray<byte>(Wire.MaxFrameBytes, pinned: true);

    /// <param name="giveUp">Asked with the milliseconds that a send has waited.</param>
    public FrameChannel(Fd socket, WakeEvent wake, Func<long, bool> giveUp)
    {
        _socket = socket;
        _wake = wake;
        _giveUp = giveUp;
    }

    public int Socket => _socket.Value;

    /// <summary>Where a caller encodes a frame for <see cref="SendOutput"/>.</summary>
    public Span<byte> Output => _output;

    /// <exception cref="LinuxException">The connection is broken, or the peer took nothing for too long.</exception>
    public void Send<T>(in T message)
        where T : struct, IMessage<T> => SendOutput(Frame.Encode(message, _output));

    public void SendOutput(int bytes)
    {
        long start = Environment.TickCount64;
        fixed (byte* p = _output)
        {
            for (int sent = 0; sent < bytes;)
            {
                int n = Sys.Send(_socket.Value, p + sent, bytes - sent, MSG_DONTWAIT);
                if (n >= 0)
                {
                    sent += n;
                    continue;
                }
                if (n != -Errno.EAGAIN || _giveUp(Environment.TickCount64 - start))
                {
                    throw new LinuxException("send", n == -Errno.EAGAIN ? Errno.ETIMEDOUT : -n, "frame connection");
                }
                SocketWait.For(_socket.Value, POLLOUT, _wake, 1000);
            }
        }
    }

    /// <summary>Takes in what has arrived, without waiting.</summary>
    /// <returns>False when the peer has closed the connection.</returns>
    public bool Receive()
    {
        fixed (byte* p = _received.Free.Span)
        {
            int n = Sys.Recv(_socket.Value, p, _received.Free.Length, MSG_DONTWAIT);
            if (n == -Errno.EAGAIN)
            {
                return true;
            }
            _received.Received(LinuxException.Check(n, "recv", "frame connection"));
            return n > 0;
        }
    }

    /// <param name="body">Valid until <see cref="Receive"/>.</param>
    /// <returns>False when no whole frame is there.</returns>
    /// <exception cref="LinuxException">The peer's bytes are no frames.</exception>
    public bool TryTake(out ReadOnlySpan<byte> body)
    {
        FrameState state = _received.TryTake(out body);
        return state != FrameState.BadLength ? state == FrameState.Whole : throw BadFrame();
    }

    public static LinuxException BadFrame() => new("recv", Errno.EINVAL, "frame connection: the collector sent what is no frame of this protocol");

    public void Dispose() => _socket.Dispose();
}
