using VsockPair.Linux;

namespace VsockPair.Commands;

/// <summary>
/// What a command writes to, by the name that its user knows, which every failure says. .NET's own console stream takes a closed pipe for success, so that
/// <c>kmsg -f | head</c> would run for ever; its FileStream writes to standard output at an offset of its own, which goes wrong when standard error is the same file.
/// </summary>
internal sealed unsafe class OutputStream : Stream
{
    private readonly Fd? _owned;
    private readonly int _descriptor;
    private readonly string _name;
    private long _at;

    private OutputStream(int descriptor, string name, bool canSeek, Fd? owned)
    {
        _descriptor = descriptor;
        _name = name;
        CanSeek = canSeek;
        _owned = owned;
    }

    public override bool CanRead => false;

    public override bool CanSeek { get; }

    public override bool CanWrite => true;

    public override long Length
    {
        get
        {
            LinuxException.Check(Sys.Status(_descriptor, out long bytes, out _), "stat", _name);
            return bytes;
        }
    }

    public override long Position
    {
        get => CanSeek ? _at : throw new NotSupportedException();
        set => Seek(value, SeekOrigin.Begin);
    }

    public static OutputStream StandardOutput() => new(1, "standard output", canSeek: false, owned: null);

    /// <param name="file">Of a regular file, which has no other writer; the stream closes it.</param>
    public static OutputStream ToFile(Fd file, string name) => new(file.Value, name, canSeek: true, file);

    /// <param name="device">Anything else that can be written to; the stream closes it.</param>
    public static OutputStream ToDevice(Fd device, string name) => new(device.Value, name, canSeek: false, device);

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        // The pointer is used only during the calls, while the span is pinned.
        fixed (byte* bytes = buffer)
        {
            for (int written = 0; written < buffer.Length;)
            {
                int left = buffer.Length - written;
                int n = CanSeek ? Sys.PWrite(_descriptor, bytes + written, left, _at) : Sys.Write(_descriptor, bytes + written, left);
                written += LinuxException.Check(n, "write", _name);
                _at += n;
            }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    /// <summary>Returns when all of it is on the disk.</summary>
    public void Sync() => LinuxException.Check(Sys.Fsync(_descriptor), "fsync", _name);

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin)
    {
        if (!CanSeek)
        {
            throw new NotSupportedException();
        }
        return _at = offset + (origin == SeekOrigin.Begin ? 0 : origin == SeekOrigin.Current ? _at : Length);
    }

    public override void SetLength(long value) => LinuxException.Check(Sys.Truncate(_descriptor, value), "truncate", _name);

    protected override void Dispose(bool disposing)
    {
        _owned?.Dispose();
        base.Dispose(disposing);
    }
}
