using Microsoft.Extensions.Logging;
using VsockPair.Cases;
using VsockPair.Options;

namespace VsockPair.Storage;

/// <summary>
/// Removes the oldest closed files over the quotas of their guest, over MaxAge, and, when all guests together hold too much, of the guest that holds most. Trace never
/// evicts kernel logs. What an open case needs stays, up to half a quota. A file goes after its line is in the guest's ledger and on the disk: a loss may be declared a moment before it happens, never after. One thread.
/// </summary>
internal sealed class Retention(CollectorStore store, StoreOptions options, DiskState disk, HostAge age, CasePins pins, ILogger<Retention> log)
{
    /// <summary>Below this the disk counts as full, however little KeepFree asks for: ledgers, kernel logs and records need some room.</summary>
    private const long LeastFree = 8 << 20;

    /// <summary>What is kept free of a quota for what comes before the next run: a segment, and at most this part of it.</summary>
    private const int HeadroomShare = 16;

    /// <summary>Files whose lines share one fsync. A stream that opens waits for it.</summary>
    private const int FilesPerBatch = 256;

    /// <summary>Of a quota, for what open cases need.</summary>
    private const int PinShare = 2;

    private readonly Dictionary<string, List<StoredFile>> _closed = new(StringComparer.Ordinal);

    /// <summary>What has its line and could not be removed: another line would count it twice.</summary>
    private readonly HashSet<string> _declared = new(StringComparer.Ordinal);
    private bool _clockWasSet;

    public void Run()
    {
        TellOfClock();
        pins.Refresh();
        // Once: a guest that connects meanwhile has its turn the next time.
        GuestStore[] guests = [.. store.Guests];
        foreach (GuestStore guest in guests)
        {
            try
            {
                KeepGuest(guest);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // One guest's folder: the quotas of all others are kept all the same.
                log.HousekeepingFailed(guest.Folder, e.Message);
            }
        }
        KeepFileSystem(guests);
    }

    private void KeepGuest(GuestStore guest)
    {
        bool isNew = _closed.TryAdd(guest.Name, []);
        if (guest.TakeSegmentsClosed() || isNew)
        {
            _closed[guest.Name] = StoredFile.FindAll(guest.Folder);
        }
        RemoveOld(guest);
        Keep(guest, kmsg: false, options.TraceQuota);
        Keep(guest, kmsg: true, options.KmsgQuota);
    }

    private void TellOfClock()
    {
        TimeSpan step = age.Step;
        if (step != TimeSpan.Zero && !_clockWasSet)
        {
            log.ClockSet(step);
        }
        _clockWasSet = step != TimeSpan.Zero;
    }

    private void RemoveOld(GuestStore guest)
    {
        DateTime oldest = age.Ago(options.MaxAge).UtcDateTime;
        HashSet<StoredFile> held = HeldByCases(guest);
        Remove(guest, [.. _closed[guest.Name].TakeWhile(f => f.Written < oldest).Where(f => !held.Contains(f))], "MaxAge");
    }

    private void Keep(GuestStore guest, bool kmsg, long quota)
    {
        List<StoredFile> remove = [];
        long target = quota - Math.Min(options.SegmentBytes, quota / HeadroomShare);
        long used = OpenBytes(guest, kmsg) + _closed[guest.Name].Where(f => f.IsKmsg == kmsg).Sum(f => f.Bytes);
        HashSet<StoredFile> held = HeldByCases(guest);
        foreach (StoredFile file in _closed[guest.Name].Where(f => f.IsKmsg == kmsg && !held.Contains(f)))
        {
            if (used <= target)
            {
                break;
            }
            used -= file.Bytes;
            remove.Add(file);
        }
        Remove(guest, remove, kmsg ? "KmsgQuota" : "TraceQuota");
        if (used > target)
        {
            // All that is left is open: the oldest is closed, and can be removed the next time.
            CloseOldestOpen(guest, kmsg);
        }
    }

    /// <summary>TotalShare over all guests, and KeepFree of the file system, whoever else fills it.</summary>
    private void KeepFileSystem(GuestStore[] guests)
    {
        DiskSpace.Read(store.Folder, out long total, out long free);
        Dictionary<GuestStore, long> held = guests.ToDictionary(g => g, Held);
        long keepFree = Math.Max((long)(total * options.KeepFree), LeastFree);
        long over = Math.Max(held.Values.Sum() - (long)(total * options.TotalShare), keepFree - free);
        Dictionary<GuestStore, Queue<StoredFile>> trace = held.Keys.ToDictionary(g => g, g => new Queue<StoredFile>(Unpinned(g)));
        Dictionary<GuestStore, List<StoredFile>> remove = held.Keys.ToDictionary(g => g, _ => new List<StoredFile>());
        while (over > 0 && held.Count > 0)
        {
            GuestStore largest = held.MaxBy(h => h.Value).Key;
            if (!trace[largest].TryDequeue(out StoredFile? oldest))
            {
                CloseOldestOpen(largest, kmsg: false);
                held.Remove(largest);
                continue;
            }
            remove[largest].Add(oldest);
            held[largest] -= oldest.Bytes;
            over -= oldest.Bytes;
        }
        foreach ((GuestStore guest, List<StoredFile> files) in remove)
        {
            Remove(guest, files, "TotalShare or KeepFree");
        }
        DiskSpace.Read(store.Folder, out _, out free);
        SetFull(free < keepFree || !store.Reserve.TryFill());
    }

    private IEnumerable<StoredFile> Unpinned(GuestStore guest)
    {
        HashSet<StoredFile> held = HeldByCases(guest);
        return _closed[guest.Name].Where(f => !f.IsKmsg && !held.Contains(f));
    }

    /// <summary>The newest of what open cases need, up to their share of each quota: the rest goes as everything else does, and is in the ledger like it.</summary>
    private HashSet<StoredFile> HeldByCases(GuestStore guest)
    {
        HashSet<StoredFile> held = [];
        if (!pins.HoldsAny(guest.Name))
        {
            return held;
        }
        long trace = options.TraceQuota / PinShare;
        long kmsg = options.KmsgQuota / PinShare;
        foreach (StoredFile file in Enumerable.Reverse(_closed[guest.Name]))
        {
            if (pins.Holds(guest.Name, file) && (file.IsKmsg ? kmsg -= file.Bytes : trace -= file.Bytes) >= 0)
            {
                held.Add(file);
            }
        }
        return held;
    }

    private void SetFull(bool full)
    {
        if (full && !disk.IsFull)
        {
            log.DiskFull();
        }
        else if (!full && disk.IsFull)
        {
            log.DiskHasRoom();
        }
        disk.Set(full);
    }

    private long Held(GuestStore guest) => _closed[guest.Name].Sum(f => f.Bytes) + OpenBytes(guest, kmsg: false) + OpenBytes(guest, kmsg: true);

    private static long OpenBytes(GuestStore guest, bool kmsg) =>
        guest.ClosingBytes(kmsg) + (kmsg ? 0 : guest.CompressingBytes) + guest.Boots.Sum(b => kmsg ? b.KmsgIfOpen?.OpenBytes ?? 0 : b.Streams.Sum(s => s.OpenBytes));

    private static void CloseOldestOpen(GuestStore guest, bool kmsg)
    {
        if (guest.HasClosing)
        {
            // What is being closed can be removed in a moment.
            return;
        }
        if (kmsg)
        {
            foreach (BootStore boot in guest.Boots)
            {
                boot.KmsgIfOpen?.RotateOlderThan(TimeSpan.Zero);
            }
            return;
        }
        guest.Boots.SelectMany(b => b.Streams).Where(s => s.OpenSince is not null).MinBy(s => s.OpenSince)?.RotateOlderThan(TimeSpan.Zero);
    }

    private void Remove(GuestStore guest, List<StoredFile> files, string why)
    {
        foreach (StoredFile[] chunk in files.Chunk(FilesPerBatch))
        {
            using Lock.Scope scope = guest.FilesGate.EnterScope();
            // The boot of a file may have gone as a whole, with its own line.
            StoredFile[] batch = [.. chunk.Where(f => SegmentForms.Find(f.FilePath) is not null)];
            guest.Ledger.AppendSynced(LinesOf([.. batch.Where(f => !_declared.Contains(f.FilePath))]));
            _declared.UnionWith(batch.Select(f => f.FilePath));
            foreach (StoredFile file in batch)
            {
                TryDelete(guest, file);
            }
        }
        if (files.Count > 0)
        {
            _closed[guest.Name] = [.. _closed[guest.Name].Except(files)];
            int wanted = files.Count(f => pins.Holds(guest.Name, f));
            log.RetentionRemoved(guest.Name, files.Count, files.Sum(f => f.Bytes), wanted == 0 ? why : $"{why}; an open case would need {wanted} of them, beyond what it may hold");
        }
    }

    /// <summary>One that cannot be removed is tried again, and holds up no other; its line is there already.</summary>
    private void TryDelete(GuestStore guest, StoredFile file)
    {
        try
        {
            StoredFile.Delete(file.FilePath);
            _declared.Remove(file.FilePath);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.HousekeepingFailed(file.FilePath, e.Message);
            guest.FilesChanged();
        }
    }

    /// <summary>One line for each stream of each boot, and another for files whose sidecar cannot be read, so that what is unknown of one makes no sum unknown. They share a time, by which the batch is known, and which no file of it is younger than, however the host's clock was set since.</summary>
    private LossRecord[] LinesOf(StoredFile[] batch)
    {
        DateTimeOffset time = batch.Select(f => new DateTimeOffset(f.Written, TimeSpan.Zero)).Append(store.Now).Max();
        return
        [
            .. batch.Select(f => (File: f, Line: LineOf(f, time))).GroupBy(f => (f.Line.Boot, f.Line.Stream, f.Line.Last is null)).Select(files =>
                LossRecord.Merge(files.Select(f => f.Line)) with { Files = [.. files.Select(f => Path.GetFileName(f.File.FilePath))] }),
        ];
    }

    private static LossRecord LineOf(StoredFile file, DateTimeOffset time)
    {
        SegmentSummary? sum = SegmentSum.TryRead(file.FilePath);
        return new LossRecord
        {
            Time = time,
            Source = LossSources.Retention,
            Stream = file.Stream,
            First = sum?.First,
            Last = sum?.Last,
            Records = sum?.Slots,
            Events = file.IsKmsg ? null : sum?.Events,
            Bytes = file.Bytes,
            Boot = file.Boot,
        };
    }
}
