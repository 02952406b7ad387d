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

    /// <summary>From here on <see cref="AppendSynced"/> adds up what is old: retention removes files for as long as a guest runs.</summary>
    private const int CompactBytes = 8 << 20;

    private readonly Lock _gate = new();
    private readonly DiskReserve _reserve;
    private readonly string _path;
    private readonly Queue<byte[]> _waiting = new();

    /// <summary>Sums of all lines, so that a stream that opens need not read them again. A boot's own ledger names no boot.</summary>
    private readonly Dictionary<(string? Boot, string Stream), LossTotals> _totals = [];
    private SafeFileHandle? _file;
    private long _bytes;
    private long _compactAt = CompactBytes;

    public LossLedger(string path, DiskReserve reserve)
    {
        _path = path;
        _reserve = reserve;
        if (File.Exists(path))
        {
            Open();
            foreach (LossRecord record in Read(path))
            {
                Count(record);
            }
        }
    }

    /// <summary>What all lines of one stream say, those included that wait for room on the disk.</summary>
    /// <param name="boot">In a guest's ledger: the boot's folder.</param>
    public LossTotals Totals(string? boot, string stream)
    {
        lock (_gate)
        {
            return _totals.TryGetValue((boot, stream), out LossTotals? totals) ? totals.Clone() : new LossTotals();
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
            Count(record);
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
            long before = _bytes;
            Write(file, lines);
            try
            {
                RandomAccess.FlushToDisk(file);
            }
            catch (IOException)
            {
                // Nothing is removed for lines that may not last, so they must not be there either.
                RandomAccess.SetLength(file, _bytes = before);
                throw;
            }
            foreach (LossRecord record in records)
            {
                Count(record);
            }
            if (_bytes >= _compactAt)
            {
                Compact();
            }
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

    private void Count(LossRecord record)
    {
        if (!_totals.TryGetValue((record.Boot, record.Stream), out LossTotals? totals))
        {
            _totals.Add((record.Boot, record.Stream), totals = new LossTotals());
        }
        totals.Add(record);
    }

    /// <summary>
    /// The newer half stays as it is. Of the older one all lines that agree in boot, stream, source, and in what they know, become one: the sums stay, the times of each
    /// removal go. Boots that are gone share a line. A longer ledger says the same, so a failure is no reason to stop.
    /// </summary>
    private void Compact()
    {
        try
        {
            LossRecord[] lines = [.. Read(_path)];
            int old = lines.Length / 2;
            string boots = StorePaths.Boots(Path.GetDirectoryName(_path)!);
            HashSet<string> gone = [.. lines.Take(old).Select(l => l.Boot).OfType<string>().Distinct().Where(b => !Directory.Exists(Path.Combine(boots, b)))];
            LossRecord[] rest =
            [
                .. lines.Take(old).Select(l => l.Boot is string boot && gone.Contains(boot) ? l with { Boot = null, Stream = BootRemoval.Stream, First = null, Last = null } : l)
                    .GroupBy(l => (l.Boot, l.Stream, l.Source, l.Events is null, l.Last is null)).Select(LossRecord.Merge),
                .. lines.Skip(old),
            ];
            DurableFile.ReplaceLines(_path, rest, StoreJson.Default.LossRecord);
            _totals.Clear();
            Array.ForEach(rest, Count);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It may have been replaced all the same: the folder is synced after the rename.
        }
        _file?.Dispose();
        _file = null;
        Open();
        // Where the lines of many streams cannot be fewer, not every removal may do this again.
        _compactAt = Math.Max(CompactBytes, 2 * _bytes);
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
