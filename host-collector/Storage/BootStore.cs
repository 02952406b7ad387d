using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Text.Json;
using VsockPair.Protocol;

namespace VsockPair.Storage;

/// <summary>
/// One folder under <c>boots/</c>: a life of a boot. Made when a session begins or when leftovers are tidied, and let go of when it is over and all of it is on the
/// disk: a later session makes it anew from its files. What uses it holds it meanwhile. Any thread.
/// </summary>
internal sealed class BootStore : IDisposable
{
    /// <summary>About six weeks of samples, so half of it is more than the trace of any sensible quota.</summary>
    private const int MaxClockBytes = 64 << 20;

    private static readonly TimeSpan ComesBackWithin = TimeSpan.FromSeconds(60);

    private readonly Lock _gate = new();
    private readonly Lock _making = new();
    private readonly GuestStore _guest;
    private readonly StoreLimits _limits;
    private readonly TimeProvider _time;
    private readonly DiskReserve _reserve;
    private readonly LossLedger _ledger;
    private readonly ConcurrentDictionary<int, VcpuStream> _streams = new();
    /// <summary>Hashes that the record has no more, and boot.json still has: their files stay until it is written.</summary>
    private readonly List<string> _unnamed = [];

    private KmsgStream? _kmsg;
    private BootRecord _record;
    private long _bootClock;
    private bool _dirty;
    private bool _unsynced;
    private int _openSeconds;
    private int _closing;

    public BootStore(GuestStore guest, string folder, BootRecord record, bool isNew, StoreLimits limits, DiskReserve reserve, StorageWorker worker, TimeProvider time)
    {
        _guest = guest;
        _limits = limits;
        _time = time;
        Folder = folder;
        Name = Path.GetFileName(folder);
        Worker = worker;
        _record = record;
        SessionAtStart = record.Session;
        _dirty = isNew;
        _reserve = reserve;
        // On a full disk too: a guest that panicked boots anew before it can hand over its crash record.
        reserve.WriteWithReserve(DiskSpace.PageBytes, () => Directory.CreateDirectory(folder));
        _bootClock = Math.Max(record.BootClock ?? 0, isNew ? 0 : LastClock.Read(StorePaths.Clock(folder)));
        _ledger = new LossLedger(StorePaths.Losses(folder), reserve);
    }

    public string Folder { get; }

    /// <summary>The boot id, with <c>.N</c> for a later life.</summary>
    public string Name { get; }

    public StorageWorker Worker { get; }

    /// <summary>The session that this boot had when this collector first opened it.</summary>
    public Guid SessionAtStart { get; }

    /// <summary>Of sessions, their connections, and what they have given the storage thread.</summary>
    public Holds Holds { get; } = new();

    public DateTimeOffset Now => _time.GetUtcNow();

    public BootRecord Record => Volatile.Read(ref _record);

    /// <summary>The guest's CLOCK_BOOTTIME when it was last heard of, as far as it tells.</summary>
    public long BootClock => Interlocked.Read(ref _bootClock);

    public TimeSpan LossLineInterval => _ledger.LineInterval;

    public IEnumerable<VcpuStream> Streams => _streams.Values.OrderBy(s => s.Vcpu);

    /// <summary>Null until it was used.</summary>
    public KmsgStream? KmsgIfOpen => Volatile.Read(ref _kmsg);

    /// <summary>May read what a dead collector left open: not for a loop thread.</summary>
    public VcpuStream Stream(int vcpu)
    {
        if (_streams.TryGetValue(vcpu, out VcpuStream? stream))
        {
            return stream;
        }
        lock (_making)
        {
            // Not GetOrAdd with a factory: that may run twice, and the second run would close the first one's segment.
            if (!_streams.TryGetValue(vcpu, out stream))
            {
                lock (_guest.FilesGate)
                {
                    stream = new VcpuStream(this, vcpu, _limits);
                }
                // Behind the jobs that close what was left open.
                Worker.Post(stream.Name, _guest.FilesChanged);
                _streams[vcpu] = stream;
            }
            return stream;
        }
    }

    /// <summary>As <see cref="Stream"/>.</summary>
    public KmsgStream Kmsg()
    {
        lock (_making)
        {
            if (_kmsg is null)
            {
                lock (_guest.FilesGate)
                {
                    Volatile.Write(ref _kmsg, new KmsgStream(this, _limits));
                }
            }
            return _kmsg!;
        }
    }

    /// <summary>Whether its files say all that this object knows.</summary>
    public bool IsComplete
    {
        get
        {
            lock (_gate)
            {
                if (_dirty || _unsynced || _record.Ended is null)
                {
                    return false;
                }
            }
            return Volatile.Read(ref _closing) == 0 && !_ledger.HasWaiting && KmsgIfOpen?.IsComplete != false && _streams.Values.All(s => s.IsComplete);
        }
    }

    /// <summary>Opens the stream of a ring that was heard of, if need be by a dead collector.</summary>
    public VcpuStream? StreamIfKnown(int vcpu) => StreamIfOpen(vcpu) ?? (File.Exists(StorePaths.Ring(Folder, vcpu)) ? Stream(vcpu) : null);

    public VcpuStream? StreamIfOpen(int vcpu) => _streams.GetValueOrDefault(vcpu);

    /// <param name="bootClock">As the guest says: in one life of a boot it only rises.</param>
    public void SawClock(long bootClock)
    {
        long known = Interlocked.Read(ref _bootClock);
        while (bootClock > known && Interlocked.CompareExchange(ref _bootClock, bootClock, known) is long now && now != known)
        {
            known = now;
        }
    }

    public void Change(Func<BootRecord, BootRecord> change)
    {
        lock (_gate)
        {
            Volatile.Write(ref _record, change(_record));
            _dirty = true;
        }
    }

    /// <summary>Written with the record, so once a second at most, however often a guest tells something else.</summary>
    public void Hear(in Readiness readiness)
    {
        CheckRecord[] checks = [.. readiness.Checks.Select(c => new CheckRecord(
            c.Check, c.State switch { CheckState.Ok => true, CheckState.Missing => false, _ => null }, c.Text, c.Fix))];
        if (Record.Readiness is not IReadOnlyList<CheckRecord> known || !known.SequenceEqual(checks))
        {
            Change(r => r with { Readiness = checks });
        }
    }

    /// <summary>Names a metadata file, which the caller holds.</summary>
    /// <returns>False when this boot, or its guest, has enough of them.</returns>
    public bool TryNameMetadata(string name, string sha256)
    {
        GuestMetadata all = _guest.Metadata;
        lock (_gate)
        {
            string? older = _record.Metadata.GetValueOrDefault(name);
            if (older == sha256)
            {
                return true;
            }
            if ((older is null && _record.Metadata.Count >= GuestMetadata.MaxNamesOfBoot) || !all.TryAdd(sha256))
            {
                return false;
            }
            if (older is not null)
            {
                _unnamed.Add(older);
            }
            // A tree that shares all but a few nodes with the one before: naming thousands of files must not copy thousands of names each time.
            Change(r => r with { Metadata = r.Metadata.ToImmutableSortedDictionary(StringComparer.Ordinal).SetItem(name, sha256) });
            return true;
        }
    }

    /// <summary>Its trace is gone, and with it what metadata is for.</summary>
    public void ForgetMetadata()
    {
        lock (_gate)
        {
            _unnamed.AddRange(_record.Metadata.Values);
            Change(r => r with { Metadata = ImmutableSortedDictionary<string, string>.Empty });
        }
    }

    /// <param name="synced">Whether it must survive power loss now; what was saved without that is synced by <see cref="Housekeep"/>.</param>
    /// <param name="withReserve">On a full disk too.</param>
    /// <exception cref="IOException">The disk does not take it; the change stays for the next time.</exception>
    public void Save(bool synced = false, bool withReserve = false)
    {
        GuestMetadata all = _guest.Metadata;
        lock (_gate)
        {
            if (_dirty || (synced && _unsynced))
            {
                if (withReserve)
                {
                    _reserve.WriteWithReserve(DiskSpace.PageBytes, () => WriteRecord(synced));
                }
                else
                {
                    WriteRecord(synced);
                }
                _dirty = false;
                _unsynced = !synced;
            }
            if (!_unsynced)
            {
                _unnamed.ForEach(all.Remove);
                _unnamed.Clear();
            }
        }
        // After the record, which says whether one of them may matter.
        foreach (VcpuStream stream in _streams.Values)
        {
            stream.SaveRing();
        }
    }

    private void WriteRecord(bool synced)
    {
        string path = StorePaths.BootRecord(Folder);
        if (synced)
        {
            DurableFile.ReplaceSynced(path, _record, StoreJson.Default.BootRecord);
        }
        else
        {
            DurableFile.Replace(path, _record, StoreJson.Default.BootRecord);
        }
    }

    /// <summary>Records that this session is over, if it still is the boot's own.</summary>
    public void EndSession(Guid session, string reason) =>
        Change(r => r.Session == session ? r with { Ended = Now, EndReason = reason, BootClock = BootClock } : r);

    /// <summary>Its folder goes: what it has named is its guest's again.</summary>
    public IReadOnlyList<string> TakeMetadata()
    {
        lock (_gate)
        {
            ForgetMetadata();
            string[] named = [.. _unnamed];
            _unnamed.Clear();
            return named;
        }
    }

    /// <summary>A line that the disk does not take is left out: the next burst brings another. Samples far older than the trace that they are for go.</summary>
    public void AppendClock(ClockSample sample)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(sample, StoreJson.Default.ClockSample), (byte)'\n'];
        string path = StorePaths.Clock(Folder);
        try
        {
            using (FileStream file = new(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0))
            {
                file.Write(line);
                if (file.Length <= MaxClockBytes)
                {
                    return;
                }
            }
            ClockSample[] samples = [.. JsonLines.Read(path, StoreJson.Default.ClockSample)];
            DurableFile.ReplaceLines(path, samples.TakeLast(samples.Length / 2), StoreJson.Default.ClockSample);
        }
        catch (IOException)
        {
            return;
        }
    }

    /// <summary>Writes a line, unless the guest has had its lines for now or others wait for room on the disk: then the caller keeps it and adds to it what comes.</summary>
    /// <param name="must">It cannot wait.</param>
    public bool TryDeclare(LossRecord record, bool must)
    {
        if (!must && (!_guest.LedgerLines.HasRoom || !_ledger.TryWriteWaiting()))
        {
            return false;
        }
        // A ledger that has grown long costs more: 16 lines a second for ever would fill a disk too.
        _guest.LedgerLines.Take((long)LossLineInterval.TotalSeconds);
        _ledger.Append(record);
        return true;
    }

    /// <param name="bytes">What the file takes on the disk; retention sees it as held until it is closed, and then as a closed file.</param>
    public void CloseLater(string path, long bytes, bool isKmsg, Action close)
    {
        _guest.ClosingBegun(bytes, isKmsg);
        PostClosing(path, () =>
        {
            close();
            _guest.SegmentClosed(bytes, isKmsg);
        });
    }

    /// <summary>Until it is closed a file counts as left open, and whoever made this boot anew would close it a second time.</summary>
    public void PostClosing(string path, Action close)
    {
        Interlocked.Increment(ref _closing);
        Worker.Post(path, () =>
        {
            close();
            Interlocked.Decrement(ref _closing);
        });
    }

    /// <summary>So many files of this guest wait for the storage thread that no more may be added to them.</summary>
    public bool IsBehindWithClosing => _guest.IsBehindWithClosing;

    public void ReportNotStored(string stream, int errno) => _guest.ReportNotStored(stream, errno);

    /// <summary>Both ledgers' lines of one stream.</summary>
    public LossTotals ReadLosses(string stream)
    {
        LossTotals totals = _ledger.Totals(boot: null, stream);
        totals.Add(_guest.Ledger.Totals(Name, stream));
        return totals;
    }

    public static bool HasOpenFiles(string folder) =>
        (Directory.Exists(StorePaths.Trace(folder)) && Directory.EnumerateDirectories(StorePaths.Trace(folder)).Any(SegmentRecovery.HasOpen))
        || (Directory.Exists(StorePaths.Kmsg(folder)) && KmsgRecovery.HasOpen(StorePaths.Kmsg(folder)));

    /// <summary>Closes and counts what a dead collector left open, for streams that do not come back by themselves.</summary>
    public void RecoverAll()
    {
        if (Directory.Exists(StorePaths.Trace(Folder)))
        {
            foreach (string folder in Directory.GetDirectories(StorePaths.Trace(Folder), "cpu*"))
            {
                if (StorePaths.TryParseStream(Path.GetFileName(folder), out int vcpu) && SegmentRecovery.HasOpen(folder))
                {
                    Stream(vcpu);
                }
            }
        }
        if (Directory.Exists(StorePaths.Kmsg(Folder)) && KmsgRecovery.HasOpen(StorePaths.Kmsg(Folder)))
        {
            Kmsg();
        }
    }

    /// <summary>Another boot of the guest has begun: what agents left in this one's rings is lost.</summary>
    public void DeclareLeft()
    {
        bool left = false;
        foreach (string file in Directory.Exists(StorePaths.Rings(Folder)) ? Directory.GetFiles(StorePaths.Rings(Folder), "*" + StorePaths.RingSuffix) : [])
        {
            if (!StorePaths.TryParseStream(Path.GetFileNameWithoutExtension(file), out int vcpu)
                || (StreamIfOpen(vcpu)?.Ring ?? DurableFile.TryRead(file, StoreJson.Default.RingRecord)) is not { LostEventsIfOver: not null })
            {
                continue;
            }
            VcpuStream stream = Stream(vcpu);
            stream.DeclareLeft();
            left |= stream.Ring?.LostEventsIfOver is not null;
        }
        if (!left)
        {
            Change(r => r with { EventsLeft = false });
        }
    }

    public void KeepEventsLeft()
    {
        if (!Record.EventsLeft)
        {
            Change(r => r with { EventsLeft = true });
        }
    }

    /// <summary>Once a second.</summary>
    public void Housekeep()
    {
        TimeSpan age = IsOver ? TimeSpan.FromMilliseconds(1) : _limits.SegmentAge;
        foreach (VcpuStream stream in _streams.Values)
        {
            stream.RotateOlderThan(age);
            stream.WriteDeclared(stopping: false);
            stream.Rate.Sample();
        }
        KmsgIfOpen?.RotateOlderThan(age);
        KmsgIfOpen?.WriteDeclared(must: false);
        if (++_openSeconds % 5 == 0)
        {
            KmsgIfOpen?.SyncLater();
        }
        _ledger.TryWriteWaiting();
        Save(synced: true);
    }

    /// <summary>Ended, and not come back at once as after a lost connection.</summary>
    private bool IsOver => Record.Ended is not null && Holds.AreGoneFor(ComesBackWithin);

    /// <summary>Closes every open file. The same boot may go on afterwards, with new ones.</summary>
    public void CloseFiles()
    {
        foreach (VcpuStream stream in _streams.Values)
        {
            stream.RotateOlderThan(TimeSpan.Zero);
            stream.WriteDeclared(stopping: true);
        }
        KmsgIfOpen?.RotateOlderThan(TimeSpan.Zero);
    }

    public void Dispose() => _ledger.Dispose();
}
