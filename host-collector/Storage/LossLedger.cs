using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace VsockPair.Storage;

/// <summary>
/// One <c>losses.jsonl</c>: a line is one write(2), so that a reader never sees half of one, and a line torn by a kill or a power loss is cut off when the file is
/// opened again. Any thread.
/// </summary>
internal sealed class LossLedger : IDisposable
{
    private const int BytesPerDoubling = 4 << 20;

    private readonly Lock _gate = new();
    private readonly DiskReserve _reserve;
    private readonly string _path;
    private readonly Queue<byte[]> _waiting = new();
    private SafeFileHandle? _file;
    private long _bytes;

    public LossLedger(string path, DiskReserve reserve)
    {
        _path = path;
        _reserve = reserve;
        if (File.Exists(path))
        {
            Open();
        }
    }

    /// <summary>How often a stream may write a line of a kind that repeats: once per second, and seldomer as the ledger grows, so that no guest can fill the disk with it.</summary>
    public TimeSpan LineInterval => TimeSpan.FromSeconds(1L << (int)Math.Min(20, Interlocked.Read(ref _bytes) / BytesPerDoubling));

    public bool HasWaiting
    {
        get
        {
            lock (_gate)
            {
                return _waiting.Count > 0;
            }
        }
    }

    /// <summary>Writes a line. One that the disk does not take, even with the reserve, waits in memory and goes first the next time.</summary>
    public void Append(LossRecord record)
    {
        byte[] line = LineOf(record);
        lock (_gate)
        {
            _waiting.Enqueue(line);
            TryWriteWaiting();
        }
    }

    /// <summary>Writes lines and waits until they survive power loss.</summary>
    /// <exception cref="IOException">They could not be written, and none is there.</exception>
    public void AppendSynced(IReadOnlyList<LossRecord> records)
    {
        byte[] lines = [.. records.SelectMany(LineOf)];
        lock (_gate)
        {
            if (!TryWriteWaiting())
            {
                throw new IOException($"{_path} cannot be written");
            }
            SafeFileHandle file = _file ?? Open();
            Write(file, lines);
            RandomAccess.FlushToDisk(file);
        }
    }

    /// <returns>False while lines wait for room on the disk.</returns>
    public bool TryWriteWaiting()
    {
        lock (_gate)
        {
            try
            {
                while (_waiting.TryPeek(out byte[]? line))
                {
                    SafeFileHandle file = _file ?? Open();
                    Write(file, line);
                    _waiting.Dequeue();
                }
                return true;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Still in the queue: nothing is lost while the process lives, and the caller's housekeeping comes again.
                return false;
            }
        }
    }

    public static IEnumerable<LossRecord> Read(string path, TextWriter? remarks = null) => JsonLines.Read(path, StoreJson.Default.LossRecord, remarks);

    public void Dispose()
    {
        lock (_gate)
        {
            _file?.Dispose();
            _file = null;
        }
    }

    private static byte[] LineOf(LossRecord record) => [.. JsonSerializer.SerializeToUtf8Bytes(record, StoreJson.Default.LossRecord), (byte)'\n'];

    private void Write(SafeFileHandle file, byte[] lines)
    {
        try
        {
            _reserve.WriteWithReserve(lines.Length, () => RandomAccess.Write(file, lines, _bytes));
            _bytes += lines.Length;
        }
        catch (IOException)
        {
            // A part that was written would stay behind a shorter line that is written there next.
            RandomAccess.SetLength(file, _bytes);
            throw;
        }
    }

    private SafeFileHandle Open()
    {
        _file = File.OpenHandle(_path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        _bytes = RandomAccess.GetLength(_file);
        byte[] last = new byte[4096];
        long end = _bytes;
        while (end > 0)
        {
            long start = Math.Max(0, end - last.Length);
            int n = RandomAccess.Read(_file, last.AsSpan(0, (int)(end - start)), start);
            int newline = last.AsSpan(0, n).LastIndexOf((byte)'\n');
            if (newline >= 0)
            {
                end = start + newline + 1;
                break;
            }
            end = start;
        }
        if (end != _bytes)
        {
            RandomAccess.SetLength(_file, end);
            _bytes = end;
        }
        return _file;
    }
}
