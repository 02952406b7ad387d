using VsockPair.Linux;

namespace VsockPair.Commands;

/// <summary>
/// Descriptor 1. .NET's own console stream takes a closed pipe for success, so that <c>kmsg -f | head</c> would run for ever;
/// its FileStream writes at an offset of its own, which goes wrong when standard error is the same file.
/// </summary>
internal sealed unsafe class StandardOutput : Stream
{
    private const int Descriptor = 1;

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
        // The pointer is used only during the call, while the span is pinned.
        fixed (byte* bytes = buffer)
        {
            for (int written = 0; written < buffer.Length;)
            {
                written += LinuxException.Check(Sys.Write(Descriptor, bytes + written, buffer.Length - written), "write", "standard output");
            }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
