using Microsoft.Win32.SafeHandles;

namespace VsockPair.History;

/// <summary>A <c>.pages</c> file. Its last slot may be torn, and then is none; what follows a tail in its slot is a hole, which reads as zeros.</summary>
internal sealed class PagesReader : ISegmentReader
{
    private readonly SafeFileHandle _file;
    private readonly int _subBufferBytes;

    private PagesReader(SafeFileHandle file, int subBufferBytes)
    {
        _file = file;
        _subBufferBytes = subBufferBytes;
        Refresh();
    }

    public long Slots { get; private set; }

    public void Refresh() => Slots = RandomAccess.GetLength(_file) / _subBufferBytes;

    public static PagesReader? TryOpen(string path, int subBufferBytes)
    {
        try
        {
            // In nobody's way: the collector may append, retention may remove.
            return new PagesReader(File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete), subBufferBytes);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    public int Read(long slot, int skip, Span<byte> target)
    {
        int done = 0;
        while (done < target.Length)
        {
            int n = RandomAccess.Read(_file, target[done..], slot * _subBufferBytes + skip + done);
            if (n == 0)
            {
                break;
            }
            done += n;
        }
        return done;
    }

    public void Dispose() => _file.Dispose();
}
