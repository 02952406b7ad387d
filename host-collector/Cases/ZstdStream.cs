using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>Compresses what is written to it, as zstd frames one after the other, which every decoder reads as one file (RFC 8878, section 3).</summary>
internal sealed class ZstdStream(Stream target) : Stream
{
    private const int Level = 3;

    /// <summary>Much more than the window of that level, so that little is lost at the borders.</summary>
    private const int ContentBytes = 8 << 20;

    private readonly Zstd.Encoder _encoder = new(Level);
    private readonly byte[] _content = new byte[ContentBytes];
    private readonly byte[] _frame = new byte[Zstd.Encoder.MostBytes(ContentBytes)];
    private int _length;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            int taken = Math.Min(buffer.Length, _content.Length - _length);
            buffer[..taken].CopyTo(_content.AsSpan(_length));
            _length += taken;
            buffer = buffer[taken..];
            if (_length == _content.Length)
            {
                WriteFrame();
            }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <summary>A frame for each call would make the file larger: what is written waits for a whole one.</summary>
    public override void Flush()
    {
    }

    /// <summary>Writes what is left.</summary>
    public void End() => WriteFrame();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _encoder.Dispose();
        }
        base.Dispose(disposing);
    }

    private void WriteFrame()
    {
        int frame = _encoder.Compress(_content.AsSpan(0, _length), _frame);
        target.Write(_frame, 0, frame);
        _length = 0;
    }
}
