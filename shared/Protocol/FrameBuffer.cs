namespace VsockPair.Protocol;

/// <summary>
/// Bytes received on a frame connection that are not taken yet. Fixed in size, so a peer can never make it grow. One thread.
/// </summary>
public sealed class FrameBuffer
{
    private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(Wire.MaxFrameBytes, pinned: true);
    private int _start;
    private int _end;

    /// <summary>Most bytes that the next frame may have, its prefix included; a peer without a session gets <see cref="Wire.MaxHelloBytes"/>.</summary>
    public int FrameLimit { get; set; } = Wire.MaxHelloBytes;

    /// <summary>Where to receive to; never empty after <see cref="TryTake"/> has answered <see cref="FrameState.Incomplete"/>.</summary>
    public Memory<byte> Free
    {
        get
        {
            if (_start > 0)
            {
                _bytes.AsSpan(_start.._end).CopyTo(_bytes);
                _end -= _start;
                _start = 0;
            }
            return _bytes.AsMemory(_end);
        }
    }

    public void Received(int bytes) => _end += bytes;

    /// <param name="body">Valid until <see cref="Free"/> is used again.</param>
    public FrameState TryTake(out ReadOnlySpan<byte> body)
    {
        FrameState state = Frame.TryTake(_bytes.AsSpan(_start.._end), FrameLimit, out body);
        if (state == FrameState.Whole)
        {
            _start += Frame.PrefixBytes + body.Length;
        }
        return state;
    }
}
