using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Sessions;

namespace VsockPair.Listening;

/// <summary>A connection that has not said who it is for: 4 KiB, and five seconds.</summary>
internal sealed unsafe class HelloReader(PeerConnection connection, long deadline)
{
    private readonly byte[] _bytes = new byte[Wire.MaxHelloBytes];
    private int _received;

    public PeerConnection Connection { get; } = connection;

    /// <summary>Milliseconds of <see cref="Environment.TickCount64"/>.</summary>
    public long Deadline { get; } = deadline;

    /// <param name="hello">The frame's body, when it is there.</param>
    /// <param name="violation">What is wrong, when the connection is to be closed for it.</param>
    /// <returns>False when the peer is gone.</returns>
    public bool TryRead(out byte[]? hello, out Violation? violation)
    {
        hello = null;
        violation = null;
        int n;
        fixed (byte* p = _bytes)
        {
            n = Sys.Recv(Connection.Fd.Value, p + _received, _bytes.Length - _received, Constants.MSG_DONTWAIT);
        }
        if (n <= 0)
        {
            if (n != -Errno.EAGAIN && _received > 0)
            {
                violation = Violation.BadFrame;
            }
            return n == -Errno.EAGAIN;
        }
        _received += n;
        switch (Frame.TryTake(_bytes.AsSpan(0, _received), Wire.MaxHelloBytes, out ReadOnlySpan<byte> body))
        {
            case FrameState.BadLength:
                violation = Violation.BadFrameLength;
                break;
            case FrameState.Whole when body.Length + Frame.PrefixBytes != _received:
                // An agent sends nothing before the answer to its Hello.
                violation = Violation.UnexpectedMessage;
                break;
            case FrameState.Whole:
                hello = body.ToArray();
                break;
        }
        return true;
    }
}
