using System.Net.Sockets;
using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.TestKit.Collector;

/// <summary>One connection that a <see cref="ScriptedCollector"/> has accepted, and what came over it.</summary>
public sealed class CollectedConnection(Socket socket) : IDisposable
{
    private readonly FrameBuffer _frames = new() { FrameLimit = Wire.MaxFrameBytes };
    private readonly SemaphoreSlim _sending = new(1);
    private long _events;
    private volatile bool _hasEnded;

    public Socket Socket { get; } = socket;

    public Hello Hello { get; set; }

    public bool HasEnded
    {
        get => _hasEnded;
        set => _hasEnded = value;
    }

    /// <summary>Events in the whole records of a bulk connection.</summary>
    public long Events => Volatile.Read(ref _events);

    public long SubBuffers { get; private set; }

    public long Tails { get; private set; }

    public long Bytes { get; private set; }

    /// <summary>Bytes of a record that is not whole yet.</summary>
    public int HeldBytes { get; set; }

    /// <summary>The records themselves, where the test asked for them.</summary>
    public List<byte[]>? Kept { get; set; }

    public async Task SendAsync<T>(T message)
        where T : struct, IMessage<T>
    {
        byte[] buffer = new byte[Wire.MaxFrameBytes];
        int bytes = Frame.Encode(message, buffer);
        await _sending.WaitAsync();
        try
        {
            await Socket.SendAsync(buffer.AsMemory(0, bytes));
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>The next frame's body, or null at the end of the connection.</summary>
    public async Task<byte[]?> ReceiveFrameAsync()
    {
        while (true)
        {
            FrameState state = _frames.TryTake(out ReadOnlySpan<byte> body);
            if (state == FrameState.Whole)
            {
                return body.ToArray();
            }
            if (state == FrameState.BadLength)
            {
                throw new InvalidDataException("a frame of impossible length");
            }
            int n = await Socket.ReceiveAsync(_frames.Free);
            if (n == 0)
            {
                return null;
            }
            _frames.Received(n);
        }
    }

    public void Dispose()
    {
        // Senders under way end with the socket; the semaphore is left to them.
        Socket.Dispose();
    }

    /// <summary>Counts the whole records at the start of <paramref name="received"/>.</summary>
    /// <returns>How many bytes they take.</returns>
    internal int TakeRecords(ReadOnlySpan<byte> received)
    {
        int at = 0;
        while (true)
        {
            BulkRecordState state = BulkRecord.TryTake(
                received[at..], Hello.Bulk.SubBufferBytes, out int prefix, out int bytes, out SubBuffer subBuffer);
            if (state == BulkRecordState.Malformed)
            {
                throw new InvalidDataException($"cpu{Hello.Bulk.Cpu}: malformed record at byte {Bytes + at} of the stream");
            }
            if (state == BulkRecordState.Incomplete)
            {
                Bytes += at;
                return at;
            }
            ReadOnlySpan<byte> record = received.Slice(at + prefix, bytes);
            if (!SubBufferEvents.TryCount(record.Slice(SubBuffer.HeaderBytes, subBuffer.DataBytes), out int events))
            {
                throw new InvalidDataException($"cpu{Hello.Bulk.Cpu}: events beyond their sub-buffer at byte {Bytes + at} of the stream");
            }
            Kept?.Add(received.Slice(at, prefix + bytes).ToArray());
            Volatile.Write(ref _events, _events + events);
            SubBuffers += prefix == 0 ? 1 : 0;
            Tails += prefix == 0 ? 0 : 1;
            at += prefix + bytes;
        }
    }
}
