namespace VsockPair.Storage;

/// <summary>
/// The kernel log of one boot. Records are stored as they came; a gap in their numbers becomes a line of the ledger after the record behind it is written, and
/// recovery finds the one that a kill left out.
/// </summary>
internal sealed class KmsgStream
{
    public const string Name = "kmsg";

    private readonly Lock _gate = new();
    private readonly BootStore _boot;
    private readonly string _folder;
    private readonly StoreLimits _limits;
    private KmsgFile? _file;
    private ulong _next;
    private LossRecord? _missing;

    public KmsgStream(BootStore boot, StoreLimits limits)
    {
        _boot = boot;
        _limits = limits;
        _folder = StorePaths.Kmsg(boot.Folder);
        Directory.CreateDirectory(_folder);
        ulong declared = boot.ReadLosses(Name).KmsgNext;
        ulong stored = KmsgRecovery.Recover(_folder, boot.PostClosing, (first, last) =>
        {
            if (first >= declared)
            {
                Declare(first, last);
            }
        }, () => WriteDeclared(must: true));
        _next = Math.Max(stored, declared);
    }

    /// <summary>The first record that is lacking.</summary>
    public ulong NextSequence
    {
        get
        {
            lock (_gate)
            {
                return _next;
            }
        }
    }

    public long OpenBytes
    {
        get
        {
            lock (_gate)
            {
                return _file?.Bytes ?? 0;
            }
        }
    }

    /// <summary>As <see cref="VcpuStream.IsComplete"/>.</summary>
    public bool IsComplete
    {
        get
        {
            lock (_gate)
            {
                return _file is null && _missing is null;
            }
        }
    }

    /// <summary>Stores whole records. After <see cref="AppendState.Malformed"/> those before the bad one are stored; after <see cref="AppendState.DiskFull"/> and <see cref="AppendState.Behind"/> none is, and the same batch may be given again.</summary>
    public AppendState Append(ReadOnlySpan<byte> batch)
    {
        lock (_gate)
        {
            ulong next = _next;
            int good = 0;
            long count = 0;
            ulong first = 0;
            List<(ulong First, ulong Last)>? missing = null;
            while (good < batch.Length && KmsgRecord.TryTake(batch[good..], atEnd: true, out KmsgRecord record, out int length) && record.Sequence is ulong sequence and < ulong.MaxValue && sequence >= next)
            {
                if (sequence > next)
                {
                    (missing ??= []).Add((next, sequence - 1));
                }
                first = count == 0 ? sequence : first;
                next = sequence + 1;
                good += length;
                count++;
            }
            if (count > 0 && Store(batch[..good], count, first, next - 1) is int error and not 0)
            {
                if (DiskReserve.IsFull(error))
                {
                    return AppendState.DiskFull;
                }
                _boot.ReportNotStored(Name, -error);
                return AppendState.Behind;
            }
            foreach ((ulong from, ulong to) in missing ?? [])
            {
                Declare(from, to);
            }
            _next = next;
            return good == batch.Length ? AppendState.Stored : AppendState.Malformed;
        }
    }

    public void RotateOlderThan(TimeSpan age)
    {
        lock (_gate)
        {
            if (_file is not null && Environment.TickCount64 - _file.Opened >= age.TotalMilliseconds)
            {
                CloseFile();
            }
        }
    }

    /// <summary>Writes the gaps that were found while the guest had no lines left, as one line.</summary>
    public void WriteDeclared(bool must)
    {
        lock (_gate)
        {
            if (_missing is LossRecord missing && _boot.TryDeclare(missing, must))
            {
                _missing = null;
            }
        }
    }

    /// <summary>Every few seconds: what was acknowledged survives power loss from here on.</summary>
    public void SyncLater()
    {
        lock (_gate)
        {
            if (_file is KmsgFile file && file.Unsynced)
            {
                file.MarkSynced();
                _boot.Worker.Post(file.FilePath, file.Sync);
            }
        }
    }

    /// <returns>0, or a negative error number; then nothing was stored.</returns>
    private int Store(ReadOnlySpan<byte> records, long count, ulong first, ulong last)
    {
        if (_file is not null && _file.Bytes > 0 && _file.Bytes + records.Length > _limits.KmsgFileBytes)
        {
            CloseFile();
        }
        int error = _file is null ? KmsgFile.Create(_folder, first, out _file) : 0;
        return error == 0 ? _file!.Append(records, count, last) : error;
    }

    private void CloseFile()
    {
        // Only in a file that was left open does recovery look for gaps.
        WriteDeclared(must: true);
        KmsgFile closing = _file!;
        _file = null;
        if (closing.Records == 0)
        {
            closing.Dispose();
            StoredFile.Delete(closing.FilePath);
            return;
        }
        _boot.CloseLater(closing.FilePath, closing.Bytes, isKmsg: true, closing.Close);
    }

    /// <summary>Gaps that have to wait for their line are added up: between them are records that are stored, so that line has no first, only how many are lost up to its last.</summary>
    private void Declare(ulong first, ulong last)
    {
        ulong records = Math.Min(last - first, long.MaxValue - 1) + 1;
        _missing = new LossRecord
        {
            Time = _boot.Now,
            Source = LossSources.Kmsg,
            Stream = Name,
            First = _missing is null ? first : null,
            Last = last,
            Records = (long)Math.Min((ulong)(_missing?.Records ?? 0) + records, long.MaxValue),
        };
        WriteDeclared(must: false);
    }
}
