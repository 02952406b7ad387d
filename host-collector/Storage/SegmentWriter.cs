using VsockPair.Linux;
using static VsockPair.Linux.Constants;

namespace VsockPair.Storage;

/// <summary>
/// One open segment: slots of one sub-buffer each, written at their places. A failed or short write leaves whole slots only. Its stream's lock guards it;
/// <see cref="StorageWorker"/> gets it when it is to be closed.
/// </summary>
internal sealed unsafe class SegmentWriter : IDisposable
{
    private const uint Mode = 0x1A0; // 0640

    private readonly Fd _fd;

    private SegmentWriter(Fd fd, string path, int subBufferBytes, ulong first)
    {
        _fd = fd;
        FilePath = path;
        SubBufferBytes = subBufferBytes;
        First = first;
        Last = first;
        Opened = Environment.TickCount64;
    }

    public string FilePath { get; }

    public int SubBufferBytes { get; }

    public long Slots { get; private set; }

    public long Events { get; private set; }

    public ulong First { get; }

    public ulong Last { get; private set; }

    /// <summary>What it takes on the disk: the holes after tails do not count.</summary>
    public long Written { get; private set; }

    /// <summary>Milliseconds of <see cref="Environment.TickCount64"/>.</summary>
    public long Opened { get; }

    /// <param name="nextName">The stream's names rise, whatever its guest stamps: looking for a free one is never long.</param>
    /// <returns>0, or a negative error number.</returns>
    public static int Create(string folder, ulong firstTimeStamp, ref ulong nextName, int subBufferBytes, out SegmentWriter? segment)
    {
        segment = null;
        for (ulong name = Math.Max(firstTimeStamp, nextName); ; name++)
        {
            string path = Path.Combine(folder, StorePaths.SegmentName(name, subBufferBytes));
            if (File.Exists(SegmentForms.CompressedPath(path)))
            {
                continue;
            }
            int fd = Sys.Open(path, O_RDWR | O_CREAT | O_EXCL, Mode);
            if (fd >= 0 && File.Exists(SegmentForms.CompressedPath(path)))
            {
                // Compressed between the two looks: the name is that segment's.
                Sys.Close(fd);
                File.Delete(path);
                continue;
            }
            if (fd >= 0)
            {
                nextName = name + 1;
                segment = new SegmentWriter(new Fd(fd), path, subBufferBytes, firstTimeStamp);
                return 0;
            }
            if (fd != -Errno.EEXIST)
            {
                return fd;
            }
        }
    }

    /// <summary>Appends whole sub-buffers that lie one after the other.</summary>
    /// <param name="error">0, or the negative error number that ended the write early.</param>
    /// <returns>Slots written.</returns>
    public int Write(byte* subBuffers, int slots, out int error)
    {
        long at = Slots * SubBufferBytes;
        long bytes = (long)slots * SubBufferBytes;
        long done = WriteAt(subBuffers, bytes, at, out error);
        int whole = (int)(done / SubBufferBytes);
        if (error != 0)
        {
            Sys.Truncate(_fd.Value, at + (long)whole * SubBufferBytes);
        }
        Slots += whole;
        Written += (long)whole * SubBufferBytes;
        return whole;
    }

    /// <summary>Appends a tail: its slot's rest stays a hole.</summary>
    /// <returns>0, or a negative error number; then nothing was appended.</returns>
    public int WriteTail(byte* tail, int bytes)
    {
        long at = Slots * SubBufferBytes;
        WriteAt(tail, bytes, at, out int error);
        // The size grows only after the bytes: a kill in between leaves no whole slot, which recovery cuts off.
        if (error == 0)
        {
            error = Sys.Truncate(_fd.Value, at + SubBufferBytes);
        }
        if (error != 0)
        {
            Sys.Truncate(_fd.Value, at);
            return error;
        }
        Slots++;
        Written += DiskSpace.Rounded(bytes);
        return 0;
    }

    /// <summary>Books what the last writes held.</summary>
    public void Account(long events, ulong lastTimeStamp)
    {
        Events += events;
        Last = lastTimeStamp;
    }

    /// <summary>For the storage thread, once the stream has let go of the segment.</summary>
    public void Close()
    {
        LinuxException.Check(Sys.Fsync(_fd.Value), "fsync", FilePath);
        SegmentSum.Write(FilePath, _fd.Value, Slots, Events, First, Last);
        Dispose();
    }

    public void Dispose() => _fd.Dispose();

    private long WriteAt(byte* data, long bytes, long at, out int error)
    {
        long done = 0;
        error = 0;
        while (done < bytes)
        {
            int n = Sys.PWrite(_fd.Value, data + done, (int)(bytes - done), at + done);
            if (n <= 0)
            {
                // A write of more than nothing that writes nothing happens on a full file system of some kinds.
                error = n < 0 ? n : -Errno.ENOSPC;
                break;
            }
            done += n;
        }
        return done;
    }
}
