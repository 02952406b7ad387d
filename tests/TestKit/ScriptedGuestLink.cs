using System.Net.Sockets;
using System.Text;
using VsockPair.Protocol;

namespace VsockPair.TestKit;

/// <summary>
/// One connection of a <see cref="ScriptedGuest"/>: frames or any bytes out, frames in. Blocking, with time limits, so that a test reads as a script.
/// </summary>
public sealed class ScriptedGuestLink : IDisposable
{
    /// <summary>For what must happen, on a machine as busy as it may be: only a failing test waits so long.</summary>
    public static readonly TimeSpan DefaultPatience = TimeSpan.FromSeconds(30);

    private readonly Socket _socket;
    private readonly FrameBuffer _received = new() { FrameLimit = Wire.MaxFrameBytes };

    public ScriptedGuestLink(string socketPath)
    {
        _socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
        {
            ReceiveTimeout = (int)DefaultPatience.TotalMilliseconds,
            SendTimeout = (int)DefaultPatience.TotalMilliseconds,
        };
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(socketPath));
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    public void Send<T>(in T message) where T : struct, IMessage<T>
    {
        byte[] frame = new byte[Wire.MaxFrameBytes];
        SendBytes(frame.AsSpan(0, Frame.Encode(message, frame)));
    }

    /// <summary>Any bytes, also what no frame can be.</summary>
    public void SendBytes(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    /// <summary>As <see cref="SendBytes"/>, for a peer that may close meanwhile.</summary>
    /// <returns>False when it did.</returns>
    public bool TrySendBytes(ReadOnlySpan<byte> bytes)
    {
        try
        {
            SendBytes(bytes);
            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>The next frame, which has to be of this type.</summary>
    public T Receive<T>() where T : struct, IMessage<T>
    {
        byte[] body = ReceiveFrame() ?? throw new InvalidOperationException($"The collector closed the connection instead of a {T.Type}.");
        return Frame.TryDecode(body, out T message) ? message
            : Frame.TryDecode(body, out Refusal refusal) ? throw new RefusedException(refusal)
            : throw new InvalidOperationException($"A {(Frame.TryReadType(body, out MessageType type) ? type : "frame that cannot be read")} came instead of a {T.Type}.");
    }

    /// <summary>The next frame's body, or null at the end of the stream.</summary>
    public byte[]? ReceiveFrame()
    {
        while (true)
        {
            switch (_received.TryTake(out ReadOnlySpan<byte> body))
            {
                case FrameState.Whole:
                    return body.ToArray();
                case FrameState.BadLength:
                    throw new InvalidOperationException("The collector sent a frame whose length cannot be.");
            }
            int bytes;
            try
            {
                bytes = _socket.Receive(_received.Free.Span);
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.OperationAborted or SocketError.Interrupted)
            {
                return null;
            }
            catch (ObjectDisposedException)
            {
                return null;
            }
            if (bytes == 0)
            {
                return null;
            }
            _received.Received(bytes);
        }
    }

    /// <summary>Waits until the collector has closed the connection, whatever it says before.</summary>
    /// <exception cref="SocketException">It did not within <see cref="DefaultPatience"/>.</exception>
    public void AwaitClosed()
    {
        while (ReceiveFrame() is not null)
        {
        }
    }

    /// <summary>One line out and one in, as on the collector's control.sock.</summary>
    public string AskLine(string line)
    {
        SendBytes(Encoding.UTF8.GetBytes(line + "\n"));
        List<byte> answer = [];
        byte[] chunk = new byte[4096];
        while (answer.Count == 0 || answer[^1] != '\n')
        {
            int bytes = _socket.Receive(chunk);
            if (bytes == 0)
            {
                throw new InvalidOperationException("The collector closed its control socket without an answer.");
            }
            answer.AddRange(chunk.AsSpan(0, bytes));
        }
        return Encoding.UTF8.GetString([.. answer]);
    }

    /// <summary>Nothing more will be sent; what was sent arrives.</summary>
    public void ShutDown() => _socket.Shutdown(SocketShutdown.Send);

    public void Dispose() => _socket.Dispose();
}

/// <summary>The collector answered with a Refusal.</summary>
public sealed class RefusedException(Refusal refusal) : Exception($"Refused: {refusal.Reason}, {refusal.Text}")
{
    public Refusal Refusal { get; } = refusal;
}
