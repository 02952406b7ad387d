using VsockPair.Linux;

namespace VsockPair.GuestAgent.Files;

/// <summary>The content of an offered file, read from its start to its end, once to hash it and once to send it.</summary>
internal abstract class ByteSource : IDisposable
{
    /// <returns>Bytes, 0 at the end, or a negative error number: a file of the guest may vanish at any time.</returns>
    public abstract int Read(Span<byte> target);

    public abstract void Dispose();
}

internal sealed unsafe class FileSource(string path) : ByteSource
{
    private readonly int _file = Sys.Open(path, Constants.O_RDONLY);

    public override int Read(Span<byte> target)
    {
        fixed (byte* p = target)
        {
            return _file < 0 ? _file : Sys.Read(_file, p, target.Length);
        }
    }

    public override void Dispose()
    {
        if (_file >= 0)
        {
            Sys.Close(_file);
        }
    }
}

/// <summary>A small file that changes too often to be read twice.</summary>
internal sealed class SnapshotSource(byte[] bytes) : ByteSource
{
    private int _at;

    public override int Read(Span<byte> target)
    {
        int n = Math.Min(target.Length, bytes.Length - _at);
        bytes.AsSpan(_at, n).CopyTo(target);
        _at += n;
        return n;
    }

    public override void Dispose()
    {
        // Bytes in memory: nothing to let go.
    }
}
