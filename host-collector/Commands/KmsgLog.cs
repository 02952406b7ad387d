using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>Takes the records of a log in their order.</summary>
internal interface IKmsgSink
{
    /// <returns>False to read no further.</returns>
    bool Take(in KmsgRecord record);

    /// <summary>Bytes that are no record.</summary>
    void TakeDamaged(long bytes);
}

/// <summary>
/// The kernel log of one boot over all its files, which the collector may be writing, rotating and removing meanwhile.
/// Which files are read is decided from their names and their first records.
/// </summary>
internal sealed class KmsgLog(StoredBoot boot) : IDisposable
{
    /// <summary>Many times a record's limit (Wire.MaxKmsgRecordBytes): what does not end within it is none.</summary>
    private const int BufferBytes = 1 << 18;
    private const int PeekBytes = 1 << 16;

    private readonly byte[] _buffer = new byte[BufferBytes];
    private int _start;
    private int _end;
    private FileStream? _file;

    /// <summary>The file that is open, or the last one that was or need not be.</summary>
    private ulong? _first;
    private bool _stopped;

    /// <summary>Time stamp of the newest record, from the end of the last file that has one; null when nothing is stored.</summary>
    public static long? NewestNanoseconds(StoredBoot boot)
    {
        foreach (ulong first in boot.KmsgFiles().Reverse())
        {
            byte[] tail = Peek(boot.KmsgPath(first), fromEnd: true);
            for (int end = tail.Length; end > 0;)
            {
                int line = tail.AsSpan(0, end - 1).LastIndexOf((byte)'\n') + 1;
                if (tail[line] != ' ' && KmsgRecord.TryTake(tail.AsSpan(line), atEnd: true, out KmsgRecord record, out _))
                {
                    return record.Nanoseconds;
                }
                end = line;
            }
        }
        return null;
    }

    /// <summary>Leaves out the files whose records are all before <paramref name="nanoseconds"/>.</summary>
    public void Seek(long nanoseconds)
    {
        ulong[] files = boot.KmsgFiles();
        int low = 0;
        int high = files.Length;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            (low, high) = FirstNanoseconds(boot.KmsgPath(files[middle])) >= nanoseconds ? (low, middle) : (middle, high);
        }
        // Records of several CPUs may stand a little out of order, so the file before is read as well; _first is the one before that.
        _first = low > 1 ? files[low - 2] : null;
    }

    /// <summary>Leaves out the oldest files, all but so many bytes.</summary>
    /// <returns>Bytes left out.</returns>
    public long SkipAllBut(long bytes)
    {
        ulong[] files = boot.KmsgFiles();
        long skipped = 0;
        for (int i = files.Length - 1; i >= 0; i--)
        {
            FileInfo file = new(boot.KmsgPath(files[i]));
            long length = file.Exists ? file.Length : 0;
            bytes -= length;
            if (bytes < 0 && i < files.Length - 1)
            {
                skipped += length;
                _first ??= files[i];
            }
        }
        return skipped;
    }

    /// <summary>Gives what is stored beyond the last call.</summary>
    /// <param name="settled">Nobody waits for more, or nothing has changed for a while: what ends the newest file is whole.</param>
    /// <returns>Whether there was anything new.</returns>
    public bool ReadOn(IKmsgSink sink, bool settled)
    {
        bool any = false;
        while (!_stopped)
        {
            // Before reading: a file with a successor is written no more, so that its end is its end.
            ulong? next = boot.KmsgFiles().Cast<ulong?>().FirstOrDefault(f => _first is null || f > _first);
            while (!_stopped && Fill(sink))
            {
                any = true;
                Give(sink, atEnd: false);
            }
            if (next is null)
            {
                if (settled)
                {
                    Give(sink, atEnd: true);
                }
                return any;
            }
            Give(sink, atEnd: true);
            DropRest(sink);
            _file?.Dispose();
            _file = TryOpen(boot.KmsgPath(next.Value));
            _first = next;
            any = true;
        }
        return any;
    }

    public void Dispose() => _file?.Dispose();

    private bool Fill(IKmsgSink sink)
    {
        if (_file is null)
        {
            return false;
        }
        _buffer.AsSpan(_start.._end).CopyTo(_buffer);
        _end -= _start;
        _start = 0;
        if (_end == _buffer.Length)
        {
            DropRest(sink);
        }
        int read = _file.Read(_buffer.AsSpan(_end));
        _end += read;
        return read > 0;
    }

    private void Give(IKmsgSink sink, bool atEnd)
    {
        while (!_stopped)
        {
            bool whole = KmsgRecord.TryTake(_buffer.AsSpan(_start.._end), atEnd, out KmsgRecord record, out int length);
            if (length == 0)
            {
                return;
            }
            _start += length;
            if (whole)
            {
                _stopped = !sink.Take(record);
            }
            else
            {
                sink.TakeDamaged(length);
            }
        }
    }

    private void DropRest(IKmsgSink sink)
    {
        if (_end > _start)
        {
            sink.TakeDamaged(_end - _start);
        }
        _start = _end = 0;
    }

    private static long? FirstNanoseconds(string path) =>
        KmsgRecord.TryTake(Peek(path, fromEnd: false), atEnd: true, out KmsgRecord record, out _) ? record.Nanoseconds : null;

    private static byte[] Peek(string path, bool fromEnd)
    {
        using FileStream? file = TryOpen(path);
        if (file is null)
        {
            return [];
        }
        byte[] bytes = new byte[Math.Min(file.Length, PeekBytes)];
        file.Position = fromEnd ? file.Length - bytes.Length : 0;
        return bytes[..file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)];
    }

    /// <summary>Null when retention took the file between its listing and now.</summary>
    private static FileStream? TryOpen(string path)
    {
        try
        {
            return JsonLines.Open(path);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }
}
