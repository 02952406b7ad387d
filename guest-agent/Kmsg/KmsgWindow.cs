namespace VsockPair.GuestAgent.Kmsg;

/// <summary>What was sent and is not acknowledged yet: bounded in bytes, as PROTOCOL.md §7 asks, and in frames, so that it never allocates.</summary>
internal sealed class KmsgWindow
{
    public const int MostBytes = 256 * 1024;
    private const int MostFrames = 256;

    private readonly (ulong LastSequence, int Bytes)[] _frames = new (ulong, int)[MostFrames];
    private int _first;
    private int _count;
    private int _bytes;

    public bool IsEmpty => _count == 0;

    public bool HasRoomFor(int bytes) => _count < MostFrames && _bytes + bytes <= MostBytes;

    public void Sent(ulong lastSequence, int bytes)
    {
        _frames[(_first + _count) % MostFrames] = (lastSequence, bytes);
        _count++;
        _bytes += bytes;
    }

    public void Acknowledge(ulong sequence)
    {
        while (_count > 0 && _frames[_first].LastSequence <= sequence)
        {
            _bytes -= _frames[_first].Bytes;
            _first = (_first + 1) % MostFrames;
            _count--;
        }
    }

    public void Clear()
    {
        _count = 0;
        _bytes = 0;
    }
}
