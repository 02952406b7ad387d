using System.Buffers.Binary;
using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.Linux.Constants;

namespace VsockPair.GuestAgent.Connections;

/// <summary>The first two frames of every connection. Takes exactly the answer's bytes from the socket, whatever follows it.</summary>
internal static unsafe class Handshake
{
    /// <param name="socket">Non-blocking.</param>
    /// <param name="giveUp">Asked whenever <paramref name="wake"/> was set.</param>
    /// <exception cref="RefusedException">The collector said no.</exception>
    /// <exception cref="LinuxException">The connection broke, the answer is not one, or none came in time.</exception>
    public static Welcome Exchange(int socket, in Hello hello, TimeSpan timeout, WakeEvent wake, Func<bool> giveUp)
    {
        byte* frame = stackalloc byte[Wire.MaxHelloBytes];
        Span<byte> bytes = new(frame, Wire.MaxHelloBytes);
        int length = Frame.Encode(hello, bytes);
        // A fresh connection has room for a Hello; one that has not is not usable.
        int sent = LinuxException.Check(Sys.Send(socket, frame, length, MSG_DONTWAIT), "send", "Hello");
        if (sent < length)
        {
            throw new LinuxException("send", Errno.ETIMEDOUT, "Hello");
        }

        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        Receive(socket, bytes[..Frame.PrefixBytes], deadline, wake, giveUp);
        uint bodyBytes = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (bodyBytes is 0 or > Wire.MaxHelloBytes - Frame.PrefixBytes)
        {
            throw FrameChannel.BadFrame();
        }
        Span<byte> body = bytes.Slice(Frame.PrefixBytes, (int)bodyBytes);
        Receive(socket, body, deadline, wake, giveUp);
        if (Frame.TryDecode(body, out Welcome welcome))
        {
            return welcome.Version is >= Wire.OldestVersion and <= Wire.NewestVersion ? welcome : throw FrameChannel.BadFrame();
        }
        throw Frame.TryDecode(body, out Refusal refusal) ? new RefusedException(refusal) : FrameChannel.BadFrame();
    }

    private static void Receive(int socket, Span<byte> target, long deadline, WakeEvent wake, Func<bool> giveUp)
    {
        while (target.Length > 0)
        {
            int n;
            fixed (byte* p = target)
            {
                n = Sys.Recv(socket, p, target.Length, MSG_DONTWAIT);
            }
            if (n > 0)
            {
                target = target[n..];
                continue;
            }
            if (n != -Errno.EAGAIN)
            {
                throw new LinuxException("recv", n == 0 ? Errno.ECONNRESET : -n, "answer to Hello");
            }
            long left = deadline - Environment.TickCount64;
            if (left <= 0 || giveUp())
            {
                throw new LinuxException("recv", Errno.ETIMEDOUT, "answer to Hello");
            }
            SocketWait.For(socket, POLLIN, wake, (int)left);
        }
    }
}
