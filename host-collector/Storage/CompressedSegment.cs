using Microsoft.Win32.SafeHandles;

namespace VsockPair.Storage;

/// <summary>Reads a <c>.pages.zst</c> file at any place. That costs the frame around it, which is kept for what lies beside it. One thread.</summary>
internal sealed class CompressedSegment : IDisposable
{
    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly SeekTable _table;
    private readonly Zstd.Decoder _decoder = new();
    private byte[] _packed = [];
    private byte[] _content = [];
    private int _unpacked = -1;

    private CompressedSegment(string path, SafeFileHandle file, SeekTable table)
    {
        _path = path;
        _file = file;
        _table = table;
    }

    /// <summary>Whole slots.</summary>
    public long ContentBytes => _table.TotalContentBytes;

    /// <returns>Null when there is no such file.</returns>
    /// <exception cref="DamagedSegmentException">It is no such file, or not any more.</exception>
    /// <exception cref="IOException">It cannot be read, or nothing that is compressed can.</exception>
    public static CompressedSegment? TryOpen(string path, int slotBytes)
    {
        SafeFileHandle file;
        try
        {
            file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        try
        {
            return new CompressedSegment(path, file, ReadTable(file, slotBytes));
        }
        catch (Exception e)
        {
            file.Dispose();
            throw Explain(path, e) ?? e;
        }
    }

    /// <param name="offset">In the content, not negative.</param>
    /// <returns>Bytes read: fewer than asked for only where the content ends.</returns>
    /// <exception cref="DamagedSegmentException">The file is damaged there.</exception>
    public int Read(long offset, Span<byte> target)
    {
        int done = 0;
        while (done < target.Length && offset + done < ContentBytes)
        {
            (long frame, long skip) = Math.DivRem(offset + done, _table.ContentBytes);
            ReadOnlySpan<byte> content = Unpack((int)frame)[(int)skip..];
            content = content[..Math.Min(content.Length, target.Length - done)];
            content.CopyTo(target[done..]);
            done += content.Length;
        }
        return done;
    }

    public void Dispose()
    {
        _decoder.Dispose();
        _file.Dispose();
    }

    private static SeekTable ReadTable(SafeFileHandle file, int slotBytes)
    {
        long length = RandomAccess.GetLength(file);
        if (length < SeekTable.FooterBytes)
        {
            throw new InvalidDataException("it is shorter than a seek table");
        }
        byte[] footer = new byte[SeekTable.FooterBytes];
        ReadAt(file, length - footer.Length, footer);
        byte[] table = new byte[SeekTable.BytesOf(footer, length)];
        ReadAt(file, length - table.Length, table);
        return SeekTable.Parse(table, length, slotBytes);
    }

    private ReadOnlySpan<byte> Unpack(int frame)
    {
        int expected = _table.ContentOf(frame);
        if (_unpacked != frame)
        {
            _unpacked = -1;
            (long offset, int bytes) = _table.Frame(frame);
            try
            {
                if (_packed.Length < bytes)
                {
                    // A frame that is longer than its content, by more than zstd ever adds, would be a fault of the table.
                    _packed = bytes <= Zstd.Encoder.MostBytes(expected) ? new byte[bytes] : throw new InvalidDataException($"frame {frame} is too long for what it holds");
                }
                _content = _content.Length == 0 ? new byte[_table.ContentBytes] : _content;
                ReadAt(_file, offset, _packed.AsSpan(0, bytes));
                if (_decoder.Decompress(_packed.AsSpan(0, bytes), _content) != expected)
                {
                    throw new InvalidDataException($"frame {frame} holds less than the seek table says");
                }
            }
            catch (Exception e) when (Explain(_path, e) is IOException explained)
            {
                throw explained;
            }
            _unpacked = frame;
        }
        return _content.AsSpan(0, expected);
    }

    private static void ReadAt(SafeFileHandle file, long offset, Span<byte> target)
    {
        while (target.Length > 0)
        {
            int n = RandomAccess.Read(file, target, offset);
            if (n == 0)
            {
                throw new InvalidDataException("it ends too early");
            }
            target = target[n..];
            offset += n;
        }
    }

    private static IOException? Explain(string path, Exception e) => e switch
    {
        InvalidDataException => new DamagedSegmentException(path, e),
        DllNotFoundException => new IOException(Zstd.MissingMessage, e),
        _ => null,
    };
}

/// <summary>A compressed segment, or a part of it, holds something else than was written.</summary>
internal sealed class DamagedSegmentException(string path, Exception reason) : IOException($"{path} is damaged: {reason.Message}", reason);
