using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Sessions;

namespace VsockPair.Storage;

/// <summary>One folder under <c>guests/</c>. Any thread.</summary>
internal sealed class GuestStore : IDisposable
{
    /// <summary>Boots kept: without a bound, made-up boot ids would fill the disk with folders.</summary>
    private const int MaxBoots = 256;

    /// <summary>New boots in a row; after that one every <see cref="NewBootEvery"/>.</summary>
    private const int NewBootBurst = 16;

    private static readonly TimeSpan NewBootEvery = TimeSpan.FromSeconds(10);

    /// <summary>Files of one guest that may wait to be closed: each holds a descriptor, and all guests share the thread that hashes them.</summary>
    private const int MaxClosing = 8;

    /// <summary>Lines that all streams of a guest together may put into ledgers, with some seconds in hand.</summary>
    private const int LedgerLinesPerSecond = 16;

    private readonly Lock _gate = new();
    private readonly CollectorStore _store;
    private readonly LossLedger _ledger;
    private readonly Dictionary<string, BootStore> _boots = new(StringComparer.Ordinal);
    private GuestMetadata? _metadata;
    private double _newBoots = NewBootBurst;
    private long _newBootsAsOf;
    private int _segmentsClosed = 1;
    private int _mayCompress = 1;
    private long _compressingBytes;
    private int _closing;
    private long _closingTraceBytes;
    private long _closingKmsgBytes;
    private long _notStored;
    private long _notStoredLogged = long.MinValue / 2;

    public GuestStore(CollectorStore store, string name)
    {
        _store = store;
        _newBootsAsOf = store.Time.GetTimestamp();
        LedgerLines = new TokenBucket(LedgerLinesPerSecond, store.Time);
        Name = name;
        Folder = StorePaths.Guest(store.Folder, name);
        Directory.CreateDirectory(StorePaths.Boots(Folder));
        _ledger = new LossLedger(StorePaths.Losses(Folder), store.Reserve);
        FinishRemovals();
        Pstore = new GuestPstore(BootFolders);
        Previous = new GuestPrevious(BootFolders);
    }

    public string Name { get; }

    public string Folder { get; }

    public LossLedger Ledger => _ledger;

    public GuestPstore Pstore { get; }

    public GuestPrevious Previous { get; }

    public TokenBucket LedgerLines { get; }

    /// <summary>Reads every boot.json the first time: not for a loop thread.</summary>
    public GuestMetadata Metadata
    {
        get
        {
            lock (_gate)
            {
                return _metadata ??= ReadMetadata();
            }
        }
    }

    /// <summary>Held while files are removed, and while a stream counts its files and the ledger's lines: each file is in exactly one of the two.</summary>
    public Lock FilesGate { get; } = new();

    /// <summary>Boots in use, the newest one that was, and those that are not complete on the disk yet; in no order.</summary>
    public IReadOnlyList<BootStore> Boots
    {
        get
        {
            lock (_gate)
            {
                return [.. _boots.Values];
            }
        }
    }

    public IEnumerable<string> BootFolders => Directory.EnumerateDirectories(StorePaths.Boots(Folder));

    /// <summary>Finds the life of this boot that the agent continues, or begins another one (PROTOCOL.md §4). It is held for the session.</summary>
    /// <exception cref="IOException">The store cannot be written.</exception>
    public BootStore BeginSession(Guid bootId, in ControlHello hello, Guid session)
    {
        lock (_gate)
        {
            List<(int Life, BootStore Boot)> lives = [];
            foreach (string folder in BootFolders)
            {
                if (StorePaths.TryParseBootName(Path.GetFileName(folder), out Guid id, out int life) && id == bootId && TryOpen(folder) is BootStore known)
                {
                    lives.Add((life, known));
                }
            }
            lives.Sort((a, b) => a.Life.CompareTo(b.Life));
            Guid previous = hello.PreviousSession;
            BootStore? boot = previous == Guid.Empty
                ? lives.LastOrDefault().Boot
                : lives.LastOrDefault(l => l.Boot.Record.Session == previous || l.Boot.Record.PreviousSession == previous).Boot;
            ControlHello claims = hello;
            if (hello.BootClock < boot?.BootClock)
            {
                // A snapshot of the session that is still the last one knows it too, but its clock is where it was.
                boot = null;
            }
            if (boot is null)
            {
                MakeRoomForBoot();
                int life = lives.Count == 0 ? 0 : lives[^1].Life + 1;
                DeclareLeftBefore(bootId);
                boot = Open(StorePaths.Boot(Folder, bootId, life), Describe(bootId, claims, session, _store.Now), isNew: true);
            }
            else
            {
                boot.Change(r => Describe(bootId, claims, session, r.Started) with { PreviousSession = previous == Guid.Empty ? r.Session : previous, Metadata = r.Metadata, EventsLeft = r.EventsLeft, Readiness = r.Readiness });
            }
            if (!boot.Holds.TryTake())
            {
                throw new IOException($"{boot.Folder}: this boot is being removed");
            }
            try
            {
                boot.SawClock(hello.BootClock ?? 0);
                // With the reserve: a guest that cannot begin a session cannot hand over its crash record.
                boot.Save(synced: true, withReserve: true);
            }
            catch
            {
                boot.EndSession(session, EndReasons.Closed);
                boot.Holds.Return();
                throw;
            }
            return boot;
        }
    }

    /// <summary>Opens a boot that is there already, for tidying up.</summary>
    public BootStore? TryOpen(string folder)
    {
        lock (_gate)
        {
            return _boots.GetValueOrDefault(Path.GetFileName(folder))
                ?? (ReadRecord(folder) is BootRecord record ? Open(folder, record, isNew: false) : null);
        }
    }

    /// <summary>Opens a boot in which a dead collector left something open: a session, or a file.</summary>
    public BootStore? TryOpenLeft(string folder) =>
        ReadRecord(folder) is BootRecord record && (record.Ended is null || BootStore.HasOpenFiles(folder))
            ? TryOpen(folder)
            : null;

    public void SaveRecord(Func<GuestRecord?, GuestRecord> change)
    {
        lock (_gate)
        {
            string path = StorePaths.GuestRecord(Folder);
            GuestRecord changed = change(DurableFile.TryRead(path, StoreJson.Default.GuestRecord));
            _store.Reserve.WriteWithReserve(DiskSpace.PageBytes, () => DurableFile.Replace(path, changed, StoreJson.Default.GuestRecord));
        }
    }

    public bool IsBehindWithClosing => Volatile.Read(ref _closing) >= MaxClosing;

    /// <summary>What files that wait to be closed take on the disk.</summary>
    public long ClosingBytes(bool kmsg) => Interlocked.Read(ref kmsg ? ref _closingKmsgBytes : ref _closingTraceBytes);

    public bool HasClosing => Volatile.Read(ref _closing) > 0;

    public void ClosingBegun(long bytes, bool isKmsg)
    {
        Interlocked.Increment(ref _closing);
        Interlocked.Add(ref isKmsg ? ref _closingKmsgBytes : ref _closingTraceBytes, bytes);
    }

    public void SegmentClosed(long bytes, bool isKmsg)
    {
        FilesChanged();
        Interlocked.Add(ref isKmsg ? ref _closingKmsgBytes : ref _closingTraceBytes, -bytes);
        Interlocked.Decrement(ref _closing);
    }

    /// <summary>Closed files came, went or shrank.</summary>
    public void FilesChanged()
    {
        Interlocked.Exchange(ref _segmentsClosed, 1);
        Interlocked.Exchange(ref _mayCompress, 1);
    }

    /// <summary>What the file that is being written by the compressor takes on the disk.</summary>
    public long CompressingBytes
    {
        get => Interlocked.Read(ref _compressingBytes);
        set => Interlocked.Exchange(ref _compressingBytes, value);
    }

    /// <summary>Whether a segment may have been closed since the last call: the compressor has its own mark, beside retention's.</summary>
    public bool TakeMayCompress() => Interlocked.Exchange(ref _mayCompress, 0) != 0;

    /// <summary>A stream of this guest had an error that is no full disk. Logged once a second at most.</summary>
    public void ReportNotStored(string stream, int errno)
    {
        long count = Interlocked.Increment(ref _notStored);
        long now = Environment.TickCount64;
        long logged = Interlocked.Read(ref _notStoredLogged);
        if (now - logged >= 1000 && Interlocked.CompareExchange(ref _notStoredLogged, now, logged) == logged)
        {
            _store.Log.StreamNotStored(Name, stream, Errno.Describe(errno), count);
        }
    }

    /// <summary>Whether a segment was closed since the last call.</summary>
    public bool TakeSegmentsClosed() => Interlocked.Exchange(ref _segmentsClosed, 0) != 0;

    public void Dispose()
    {
        foreach (BootStore boot in Boots)
        {
            boot.Dispose();
        }
        _ledger.Dispose();
    }

    /// <summary>Removes every boot of a guest that was not seen since the given time, and has no session.</summary>
    /// <returns>Boots removed.</returns>
    public int ForgetBoots(DateTimeOffset unseenSince)
    {
        lock (_gate)
        {
            string[] folders = [.. BootFolders];
            if (folders.Length == 0 || DurableFile.TryRead(StorePaths.GuestRecord(Folder), StoreJson.Default.GuestRecord) is not GuestRecord guest || guest.LastSeen >= unseenSince
                || folders.Any(f => RecordOf(f) is BootRecord boot && (boot.Ended is not DateTimeOffset ended || ended >= unseenSince)) || folders.Any(BootStore.HasOpenFiles)
                || !TryRetire(folders))
            {
                return 0;
            }
            RemoveBoots(folders);
            return folders.Length;
        }
    }

    /// <summary>Boots that are over would pile up as long as the collector runs, each with its streams. The newest one stays, for whoever asks what this guest does.</summary>
    public void LetGoOfEnded()
    {
        lock (_gate)
        {
            BootStore? newest = _boots.Values.MaxBy(b => b.Record.Started);
            foreach (BootStore boot in _boots.Values.Where(b => b != newest && b.IsComplete && b.Holds.TryRetire()).ToList())
            {
                // Asked again now that nobody can change it any more.
                if (!boot.IsComplete)
                {
                    boot.Holds.Reinstate();
                    continue;
                }
                _boots.Remove(boot.Name);
                boot.Dispose();
            }
        }
    }

    /// <summary>Boots that ended before the given time have no trace left that would need metadata.</summary>
    public void ForgetMetadata(DateTimeOffset endedBefore)
    {
        foreach (string folder in BootFolders)
        {
            if (RecordOf(folder) is { Ended: DateTimeOffset ended, Metadata.Count: > 0 } && ended < endedBefore)
            {
                TryOpen(folder)?.ForgetMetadata();
            }
        }
    }

    private GuestMetadata ReadMetadata()
    {
        GuestMetadata metadata = new(_store.Metadata);
        foreach (string sha256 in BootFolders.SelectMany(f => RecordOf(f)?.Metadata.Values ?? []))
        {
            metadata.Add(sha256);
        }
        return metadata;
    }

    /// <exception cref="IOException">No boot can be begun now: too many came in a short time, or none can go.</exception>
    private void MakeRoomForBoot()
    {
        long now = _store.Time.GetTimestamp();
        _newBoots = Math.Min(NewBootBurst, _newBoots + _store.Time.GetElapsedTime(_newBootsAsOf, now) / NewBootEvery);
        _newBootsAsOf = now;
        if (_newBoots < 1)
        {
            throw new IOException($"{Folder}: too many new boots in a short time, one every {NewBootEvery.TotalSeconds} s is accepted");
        }
        string[] folders = [.. BootFolders];
        if (folders.Length >= MaxBoots)
        {
            string? oldest = folders
                .Where(f => RecordOf(f)?.Ended is not null && !BootStore.HasOpenFiles(f))
                .OrderBy(BootRemoval.HoldsData).ThenBy(f => RecordOf(f)!.Started).FirstOrDefault(f => TryRetire([f]));
            if (oldest is null)
            {
                _boots.Values.Where(b => b.Record.Ended is not null).ToList().ForEach(b => b.CloseFiles());
                throw new IOException($"{Folder}: {MaxBoots} boots are kept and none of them can go yet");
            }
            RemoveBoots([oldest]);
        }
        _newBoots--;
    }

    private void DeclareLeftBefore(Guid bootId)
    {
        foreach (string folder in BootFolders)
        {
            if (RecordOf(folder) is BootRecord record && record.BootId != bootId && record.EventsLeft)
            {
                TryOpen(folder)?.DeclareLeft();
            }
        }
    }

    private BootRecord? RecordOf(string folder)
    {
        lock (_gate)
        {
            return _boots.GetValueOrDefault(Path.GetFileName(folder))?.Record ?? ReadRecord(folder);
        }
    }

    /// <summary>A boot.json that a power loss has damaged, or not let appear, is replaced by what the folder tells: its segments are closed and counted all the same.</summary>
    private static BootRecord? ReadRecord(string folder) =>
        DurableFile.TryRead(StorePaths.BootRecord(folder), StoreJson.Default.BootRecord)
        ?? (!StorePaths.TryParseBootName(Path.GetFileName(folder), out Guid bootId, out _) ? null : new BootRecord
        {
            BootId = bootId,
            Kernel = "",
            Clock = "",
            SubBufferBytes = 0,
            Cpus = 0,
            AgentVersion = "",
            Session = Guid.Empty,
            Started = new DateTimeOffset(Directory.GetLastWriteTimeUtc(folder), TimeSpan.Zero),
        });

    /// <summary>A boot may have a session although its record says that it has ended: one that is being begun, or whose end is not recorded.</summary>
    /// <returns>False when one of them is held; nothing has changed then.</returns>
    private bool TryRetire(IReadOnlyList<string> folders)
    {
        BootStore[] boots = [.. folders.Select(f => _boots.GetValueOrDefault(Path.GetFileName(f))).OfType<BootStore>()];
        BootStore[] retired = [.. boots.TakeWhile(b => b.Holds.TryRetire())];
        if (retired.Length < boots.Length)
        {
            Array.ForEach(retired, b => b.Holds.Reinstate());
        }
        return retired.Length == boots.Length;
    }

    /// <summary>Removes boots that were retired; those that stay after a failure may be used again.</summary>
    private void RemoveBoots(IReadOnlyList<string> folders)
    {
        try
        {
            RemoveRetired(folders);
        }
        catch
        {
            foreach (string folder in folders)
            {
                _boots.GetValueOrDefault(Path.GetFileName(folder))?.Holds.Reinstate();
            }
            throw;
        }
    }

    private void RemoveRetired(IReadOnlyList<string> folders)
    {
        GuestMetadata metadata = Metadata;
        lock (FilesGate)
        {
            // One time for all: by it the lines of a removal that a kill cut short are known.
            DateTimeOffset now = _store.Now;
            _ledger.AppendSynced([.. folders.Select(f => BootRemoval.LineOf(f, now))]);
            foreach (string folder in folders)
            {
                Pstore.RemoveAllOf(folder);
                Previous.RemoveAllOf(folder);
                // Its boot.json names them until it is gone.
                IReadOnlyList<string> named = _boots.Remove(Path.GetFileName(folder), out BootStore? boot) ? boot.TakeMetadata() : [.. RecordOf(folder)?.Metadata.Values ?? []];
                boot?.Dispose();
                Directory.Delete(folder, recursive: true);
                foreach (string sha256 in named)
                {
                    metadata.Remove(sha256);
                }
            }
        }
        // Retention's list names files that are gone.
        Interlocked.Exchange(ref _segmentsClosed, 1);
    }

    /// <summary>
    /// What was about to be removed when the last collector died: its line counts already, so the file must not count too. A batch's lines have one time, and
    /// nothing is removed before the files of the batch before are gone.
    /// </summary>
    private void FinishRemovals()
    {
        List<LossRecord> batch = [];
        foreach (LossRecord record in LossLedger.Read(StorePaths.Losses(Folder)).Where(r => r.Source == LossSources.Retention))
        {
            if (batch.Count > 0 && batch[^1].Time != record.Time)
            {
                batch.Clear();
            }
            batch.Add(record);
        }
        foreach (LossRecord record in batch)
        {
            if (record.Boot is not string boot || !IsPlain(boot) || !IsPlain(record.Stream))
            {
                continue;
            }
            string folder = Path.Combine(StorePaths.Boots(Folder), boot);
            if (record.Stream == BootRemoval.Stream)
            {
                BootRemoval.Finish(folder, record.Time);
                continue;
            }
            if (record.Stream == GuestPrevious.Stream)
            {
                string previous = StorePaths.Previous(folder);
                if (Directory.Exists(previous) && Directory.GetLastWriteTimeUtc(previous) <= record.Time.UtcDateTime)
                {
                    Directory.Delete(previous, recursive: true);
                }
                continue;
            }
            string files = record.Stream == KmsgStream.Name ? StorePaths.Kmsg(folder) : Path.Combine(StorePaths.Trace(folder), record.Stream);
            foreach (string file in (record.Files ?? []).Where(IsPlain).Select(name => Path.Combine(files, name)))
            {
                // A guest whose clock repeats itself may have made another file of that name since.
                if (SegmentForms.WrittenUtc(file) <= record.Time.UtcDateTime)
                {
                    StoredFile.Delete(file);
                }
            }
        }
    }

    /// <summary>A boot has stored what its agent found in a persistent ring: older finds go when all together are too many. On the storage thread.</summary>
    public void TrimPrevious(string newest)
    {
        while (Previous.FindSuperfluous(newest) is string boot)
        {
            lock (FilesGate)
            {
                _ledger.AppendSynced([GuestPrevious.LineOf(boot, _store.Now)]);
                Previous.RemoveAllOf(boot);
                Directory.Delete(StorePaths.Previous(boot), recursive: true);
            }
        }
    }

    private static bool IsPlain(string part) => part is not ("" or "." or "..") && Path.GetFileName(part) == part;

    private BootStore Open(string folder, BootRecord record, bool isNew)
    {
        BootStore boot = new(this, folder, record, isNew, _store.Limits, _store.Reserve, _store.Worker, _store.Time);
        _boots.Add(boot.Name, boot);
        return boot;
    }

    private static BootRecord Describe(Guid bootId, in ControlHello hello, Guid session, DateTimeOffset started) => new()
    {
        BootId = bootId,
        Kernel = hello.KernelRelease,
        BuildId = hello.BuildId.IsEmpty ? null : Convert.ToHexStringLower(hello.BuildId.Span),
        Clock = hello.TraceClock,
        SubBufferBytes = hello.SubBufferBytes,
        Cpus = hello.PossibleCpus,
        AgentVersion = hello.AgentVersion,
        Session = session,
        BootClock = hello.BootClock,
        Started = started,
    };
}
