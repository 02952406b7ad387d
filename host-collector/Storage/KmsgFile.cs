using VsockPair.Linux;
using static VsockPair.Linux.Constants;

namespace VsockPair.Storage;

/// <summary>One open file of kernel log records, one after the other as they were read. Its stream's lock guards it.</summary>
internal sealed unsafe class KmsgFile : IDisposable
{
    private const uint Mode = 0x1A0; // 0640

    private readonly Fd _fd;
    private bool _closed;

    private KmsgFile(Fd fd, string path, ulong first)
    {
        _fd = fd;
        FilePath = path;
        First = first;
    }

    public string FilePath { get; }

    public ulong First { get; }

    public ulong Last { get; private set; }

    public long Records { get; private set; }

    public long Bytes { get; private set; }

    public long Opened { get; } = Environment.TickCount64;

    /// <summary>Written to since the last <see cref="Sync"/>.</summary>
    public bool Unsynced { get; private set; }

    /// <returns>0, or a negative error number.</returns>
    public static int Create(string folder, ulong first, out KmsgFile? file)
    {
        string path = Path.Combine(folder, StorePaths.KmsgName(first));
        int fd = Sys.Open(path, O_RDWR | O_CREAT | O_EXCL, Mode);
        file = fd >= 0 ? new KmsgFile(new Fd(fd), path, first) : null;
        return Math.Min(fd, 0);
    }

    /// <returns>0, or a negative error number; then nothing was appended.</returns>
    public int Append(ReadOnlySpan<byte> records, long count, ulong last)
    {
        fixed (byte* p = records)
        {
            int done = 0;
            while (done < records.Length)
            {
                int n = Sys.PWrite(_fd.Value, p + done, records.Length - done, Bytes + done);
                if (n <= 0)
                {
                    Sys.Truncate(_fd.Value, Bytes);
                    return n < 0 ? n : -Errno.ENOSPC;
                }
                done += n;
            }
        }
        Bytes += records.Length;
        Records += count;
        Last = last;
        Unsynced = true;
        return 0;
    }

    public void MarkSynced() => Unsynced = false;

    /// <summary>For the storage thread. One that is tried again may come after <see cref="Close"/>, when the number is another file's.</summary>
    public void Sync()
    {
        if (!_closed)
        {
            LinuxException.Check(Sys.Fsync(_fd.Value), "fsync", FilePath);
        }
    }

    /// <summary>For the storage thread, once the stream has let go of the file.</summary>
    public void Close()
    {
        Sync();
        SegmentSum.Write(FilePath, _fd.Value, Records, events: 0, First, Last);
        Dispose();
    }

    public void Dispose()
    {
        _closed = true;
        _fd.Dispose();
    }
}
