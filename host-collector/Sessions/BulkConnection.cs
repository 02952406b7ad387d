using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>One live bulk stream. Its loop thread alone touches all but <see cref="Ended"/>.</summary>
internal sealed class BulkConnection(PeerConnection connection, GuestSession session, VcpuStream stream, int subBufferBytes, BulkLoop loop)
{
    private static readonly TimeSpan Patience = Wire.DrainTimeout + TimeSpan.FromSeconds(2);

    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private byte[] _carry = [];
    private int _carried;

    public PeerConnection Connection { get; } = connection;

    public GuestSession Session { get; } = session;

    public VcpuStream Stream { get; } = stream;

    public int SubBufferBytes { get; } = subBufferBytes;

    public int FdValue => Connection.Fd.Value;

    /// <summary>Taken out of epoll until there is budget, or room on the disk.</summary>
    public bool Paused { get; set; }

    /// <summary>What is carried holds whole records that the disk did not take.</summary>
    public bool HasUnstored { get; set; }

    /// <summary>Milliseconds of <see cref="Environment.TickCount64"/> at which draining is given up; null while the stream is wanted.</summary>
    public long? DrainDeadline { get; set; }

    /// <summary>Bytes that draining may still read. A peer that sends on must not be read for ever, and more than a window cannot have been on its way.</summary>
    public int DrainLeft { get; set; } = StreamSocket.BulkWindowBytes;

    public long AnomaliesSeen { get; set; }

    /// <summary>Read to its end or given up, closed, and everything of it stored.</summary>
    public Task Ended => _ended.Task;

    public void MarkEnded() => _ended.TrySetResult();

    /// <summary>Reads on until the peer's end of stream, 2 s and one window at most, whatever the budget. From any thread.</summary>
    /// <returns>False when its thread hangs, in the disk most likely: nothing may be said of its stream then.</returns>
    public async Task<bool> DrainAsync()
    {
        loop.Drain(this);
        try
        {
            await Ended.WaitAsync(Patience).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>Puts what the last read left over in front of the next one.</summary>
    public int TakeCarried(Span<byte> buffer)
    {
        _carry.AsSpan(0, _carried).CopyTo(buffer);
        int bytes = _carried;
        _carried = 0;
        return bytes;
    }

    /// <summary>Less than one record, or, while the disk is full, at most one read.</summary>
    /// <returns>False when the guest has no memory left for it: the connection is to be ended.</returns>
    public bool TryCarry(ReadOnlySpan<byte> rest)
    {
        if (rest.Length > _carry.Length)
        {
            int bytes = Math.Max(rest.Length, SubBufferBytes);
            if (!Session.Guest.TryTakeCarry(bytes - _carry.Length))
            {
                return false;
            }
            _carry = GC.AllocateUninitializedArray<byte>(bytes);
        }
        rest.CopyTo(_carry);
        _carried = rest.Length;
        return true;
    }

    public void ReturnCarry()
    {
        Session.Guest.ReturnCarry(_carry.Length);
        _carry = [];
        _carried = 0;
    }
}
