using System.Net.Sockets;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.Sessions;

/// <summary>An accepted descriptor and the slot that it takes of its guest's. Disposing closes the one and returns the other.</summary>
internal sealed unsafe class PeerConnection(Fd fd, Guest guest, VsockAddress peer, GlobalSlots slots) : IDisposable
{
    private readonly Lock _gate = new();
    private bool _disposed;
    private Socket? _socket;

    public Fd Fd { get; } = fd;

    public Guest Guest { get; } = guest;

    /// <summary>Zero on AF_UNIX.</summary>
    public VsockAddress Peer { get; } = peer;

    public bool IsVsock => Peer != default;

    /// <summary>The peer has hung up and left nothing to be read: whatever it asked for, it will not hear the answer.</summary>
    public bool HasHungUp
    {
        get
        {
            byte next;
            return Sys.Recv(Fd.Value, &next, 1, Constants.MSG_PEEK | Constants.MSG_DONTWAIT) is <= 0 and not -Errno.EAGAIN;
        }
    }

    /// <summary>Sends a small frame on a connection with an empty send queue.</summary>
    /// <returns>False when the connection does not take it, or has been handed over or closed: its number may be another file's by now.</returns>
    public bool TrySend<T>(in T message) where T : struct, IMessage<T>
    {
        Span<byte> frame = stackalloc byte[2048];
        int bytes = Frame.Encode(message, frame);
        lock (_gate)
        {
            fixed (byte* p = frame)
            {
                return !_disposed && _socket is null && Sys.Send(Fd.Value, p, bytes, Constants.MSG_DONTWAIT) == bytes;
            }
        }
    }

    /// <summary>Hands the descriptor to a socket for ReceiveAsync and SendAsync, which work on AF_VSOCK too (NetworkStream does not).</summary>
    public Socket ToSocket()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _socket = new Socket(new SafeSocketHandle(Fd.Value, ownsHandle: true));
            Fd.SetHandleAsInvalid();
            return _socket;
        }
    }

    /// <summary>Says why, if the peer takes it, and closes.</summary>
    public void Refuse(RefusalReason reason, string text)
    {
        TrySend(new Refusal(reason, text));
        Dispose();
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }
            _disposed = true;
        }
        _socket?.Dispose();
        Fd.Dispose();
        Guest.ReturnSlot();
        slots.Return();
    }
}
