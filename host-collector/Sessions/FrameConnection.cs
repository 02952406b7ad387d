using System.Net.Sockets;
using VsockPair.Protocol;

namespace VsockPair.Sessions;

/// <summary>
/// A control or kmsg connection after its Welcome: frames in, frames out. One task receives; any thread sends. What the peer does not read is bounded.
/// </summary>
internal sealed class FrameConnection : IDisposable
{
    private const int MaxUnsentBytes = 64 << 10;

    /// <summary>What taking a frame costs beyond its bytes, in bytes of a budget: frames of a few bytes would be had by the million else.</summary>
    private const int BytesPerFrame = 128;

    /// <summary>The collector's largest frame is a trace request, whose text has a limit.</summary>
    private const int MaxSentFrameBytes = 2 * Wire.MaxTraceTextChars;

    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _closed = new();
    private readonly PeerConnection _peer;
    private readonly Socket _socket;
    private readonly FrameBuffer _received = new() { FrameLimit = Wire.MaxFrameBytes };
    private List<byte[]> _unsent = [];
    private int _unsentBytes;
    private bool _sending;
    private bool _disposed;
    private long _partialSince;

    public FrameConnection(PeerConnection peer)
    {
        _peer = peer;
        _socket = peer.ToSocket();
    }

    /// <summary>For waits that must not outlast the connection.</summary>
    public CancellationToken Closed => _closed.Token;

    /// <summary>Part of a frame has been waiting for its rest for longer than <paramref name="limit"/>.</summary>
    public bool IsStalled(TimeSpan limit) =>
        Volatile.Read(ref _partialSince) is long since and > 0 && Environment.TickCount64 - since > limit.TotalMilliseconds;

    /// <summary>Takes the next frame out of what was received and charges it, whatever it is.</summary>
    /// <param name="budget">To have room again before more is received.</param>
    /// <param name="body">Valid until <see cref="ReceiveAsync"/>.</param>
    public FrameState TryTake(TokenBucket budget, out ReadOnlySpan<byte> body)
    {
        FrameState state = _received.TryTake(out body);
        if (state == FrameState.Whole)
        {
            budget.Take(body.Length + BytesPerFrame);
            // What lies behind it has only begun to wait.
            Volatile.Write(ref _partialSince, 0);
        }
        return state;
    }

    /// <returns>False at the end of the stream, however it came.</returns>
    /// <param name="cancellation">Then it returns false too, and nothing received is lost.</param>
    public async ValueTask<bool> ReceiveAsync(CancellationToken cancellation = default)
    {
        Memory<byte> free = _received.Free;
        if (free.Length == Wire.MaxFrameBytes)
        {
            Volatile.Write(ref _partialSince, 0);
        }
        else if (_partialSince == 0)
        {
            Volatile.Write(ref _partialSince, Environment.TickCount64);
        }
        try
        {
            int bytes = await _socket.ReceiveAsync(free, SocketFlags.None, cancellation).ConfigureAwait(false);
            _received.Received(bytes);
            return bytes > 0;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // Reset by the peer, or closed by another thread of ours: both are the end.
            return false;
        }
    }

    /// <summary>Queues a frame.</summary>
    /// <returns>False when the peer has left too much unread: the connection is of no more use.</returns>
    public bool TrySend<T>(in T message) where T : struct, IMessage<T>
    {
        Span<byte> frame = stackalloc byte[MaxSentFrameBytes];
        byte[] bytes = frame[..Frame.Encode(message, frame)].ToArray();
        lock (_gate)
        {
            if (_disposed)
            {
                return true;
            }
            if (_unsentBytes + bytes.Length > MaxUnsentBytes)
            {
                return false;
            }
            _unsent.Add(bytes);
            _unsentBytes += bytes.Length;
            if (!_sending)
            {
                _sending = true;
                _ = SendQueuedAsync();
            }
            return true;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
        }
        _peer.Dispose();
        // Not disposed: nobody knows who still looks at its token, and without a timer it holds nothing.
        _closed.Cancel();
    }

    private async Task SendQueuedAsync()
    {
        try
        {
            while (true)
            {
                List<byte[]> batch;
                lock (_gate)
                {
                    if (_unsent.Count == 0)
                    {
                        _sending = false;
                        return;
                    }
                    (batch, _unsent) = (_unsent, []);
                }
                foreach (byte[] frame in batch)
                {
                    for (int sent = 0; sent < frame.Length;)
                    {
                        sent += await _socket.SendAsync(frame.AsMemory(sent), SocketFlags.None).ConfigureAwait(false);
                    }
                    lock (_gate)
                    {
                        _unsentBytes -= frame.Length;
                    }
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The receiving side of this connection sees the same end and deals with it; _sending stays set, so nothing more is tried.
        }
    }
}
