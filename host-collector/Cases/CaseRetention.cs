using Microsoft.Extensions.Logging;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>
/// Keeps the cases within CaseQuota and CaseAge: over the quota, the memory of the oldest goes first, then whole cases, oldest first. What watch takes must not fill the disk
/// either: below KeepFree memory goes, and nothing else, for the rest is small. A case that is open stays as it is. For <c>watch</c>, from time to time; one thread.
/// </summary>
internal sealed class CaseRetention(string store, StoreOptions storeOptions, WatchOptions options, HostAge age, TimeProvider time, ILogger<CaseRetention> log)
{
    /// <summary>A case that goes has this before its name from one moment to the next, and is none any more.</summary>
    private const string RemovedPrefix = ".removed-";

    private readonly RemovedLedger _ledger = new(store);
    private bool _isFirst = true;

    public void Run()
    {
        if (!Directory.Exists(StorePaths.Cases(store)))
        {
            return;
        }
        if (_isFirst)
        {
            FinishRemoval();
            _isFirst = false;
        }
        RemoveLeftovers();
        // Oldest first.
        List<Held> cases = [.. StoredCase.Ids(store).Reverse().Select(id => StoredCase.TryOpen(store, id)).OfType<StoredCase>().Select(c => new Held(c, c.BlocksOf()))];
        long held = cases.Sum(c => c.Bytes);
        List<Held> closed = [.. cases.Where(c => !c.Case.IsOpen)];
        DateTimeOffset oldest = age.Ago(options.CaseAge);
        foreach (Held old in closed.Where(c => c.Case.Event.Time < oldest).ToArray())
        {
            held -= Remove(old, nameof(WatchOptions.CaseAge));
            closed.Remove(old);
        }
        held -= RemoveMemory(closed, () => held - options.CaseQuota, nameof(WatchOptions.CaseQuota));
        // An open case may hold more than all of the quota: logs and traces of others, which are small, do not pay for that.
        Held[] left = [.. closed.Select(c => c with { Bytes = c.Case.BlocksOf() })];
        long heldByClosed = left.Sum(c => c.Bytes);
        foreach (Held whole in left.TakeWhile(_ => heldByClosed > options.CaseQuota))
        {
            heldByClosed -= Remove(whole, nameof(WatchOptions.CaseQuota));
            closed.RemoveAll(c => c.Case == whole.Case);
        }
        RemoveMemory(closed, MissingRoom, nameof(StoreOptions.KeepFree));
    }

    /// <param name="over">How much must go.</param>
    /// <returns>Bytes that went.</returns>
    private long RemoveMemory(List<Held> closed, Func<long> over, string why)
    {
        long removed = 0;
        long wanted = over();
        foreach (Held oldest in closed)
        {
            if (removed >= wanted)
            {
                break;
            }
            removed += RemoveMemory(oldest.Case, why);
        }
        return removed;
    }

    private long RemoveMemory(StoredCase stored, string why)
    {
        string vmcore = Path.Combine(stored.Folder, CasePaths.Vmcore);
        long bytes = DiskSpace.BlocksOf(vmcore);
        return bytes == 0 || !Guard(stored.Id, () =>
        {
            _ledger.Append(new RemovedRecord { Time = time.GetUtcNow(), Id = stored.Id, What = RemovedRecord.Memory, Bytes = bytes, Why = why });
            DropMemory(stored, why);
            log.MemoryRemoved(stored.Id, bytes, why);
        }) ? 0 : bytes;
    }

    /// <summary>The manifest last: one that names a vmcore that is gone is mended by <see cref="FinishRemoval"/>.</summary>
    private void DropMemory(StoredCase stored, string why)
    {
        File.Delete(Path.Combine(stored.Folder, CasePaths.Vmcore));
        if (stored.Manifest is CaseManifest manifest && manifest.Parts.Any(p => p.Path == CasePaths.Vmcore))
        {
            CaseManifest without = manifest with
            {
                Parts = [.. manifest.Parts.Where(p => p.Path != CasePaths.Vmcore)],
                Missing = [.. manifest.Missing.Where(m => m.Part != CasePaths.Vmcore), new MissingPart(CasePaths.Vmcore, $"removed at {RfcTimeConverter.Text(time.GetUtcNow())} to keep {why}")],
            };
            DurableFile.ReplaceSynced(CasePaths.Manifest(stored.Folder), without, CaseJson.Default.CaseManifest);
        }
    }

    private long Remove(Held whole, string why) => !Guard(whole.Case.Id, () =>
    {
        _ledger.Append(new RemovedRecord { Time = time.GetUtcNow(), Id = whole.Case.Id, What = RemovedRecord.Case, Bytes = whole.Bytes, Why = why });
        RemoveFolder(whole.Case.Folder);
        log.CaseRemoved(whole.Case.Id, whole.Bytes, why);
    }) ? 0 : whole.Bytes;

    private void RemoveFolder(string folder)
    {
        // Half a case must not look like an open one.
        string going = Path.Combine(StorePaths.Cases(store), RemovedPrefix + Path.GetFileName(folder));
        Directory.Move(folder, going);
        Directory.Delete(going, recursive: true);
    }

    /// <summary>What a death left between a line and its deed.</summary>
    private void FinishRemoval()
    {
        IReadOnlyList<RemovedRecord> lines = _ledger.Read();
        if (lines.Count == 0 || lines[^1] is not { Id: string id } last || !CasePaths.IsId(id) || StoredCase.TryOpen(store, id) is not { IsOpen: false } stored)
        {
            return;
        }
        Guard(id, () =>
        {
            if (last.What == RemovedRecord.Case)
            {
                RemoveFolder(stored.Folder);
            }
            else
            {
                DropMemory(stored, last.Why);
            }
        });
    }

    /// <summary>What processes that died were writing, cases that were being removed, and folders that never got their event.</summary>
    private void RemoveLeftovers()
    {
        foreach (string folder in Directory.GetDirectories(StorePaths.Cases(store)))
        {
            string name = Path.GetFileName(folder);
            Guard(name, () =>
            {
                if (name.StartsWith(RemovedPrefix, StringComparison.Ordinal))
                {
                    Directory.Delete(folder, recursive: true);
                }
                else if (CasePaths.IsId(name))
                {
                    CaseFile.RemoveLeftovers(folder);
                    if (!Directory.EnumerateFileSystemEntries(folder).Any() && time.GetUtcNow().UtcDateTime - Directory.GetLastWriteTimeUtc(folder) > CaseFile.LeftoverAge)
                    {
                        Directory.Delete(folder);
                    }
                }
            });
        }
    }

    private long MissingRoom()
    {
        DiskSpace.Read(store, out long total, out long free);
        return (long)(total * storeOptions.KeepFree) - free;
    }

    /// <returns>False when it failed; it is tried again the next time, and holds up no other.</returns>
    private bool Guard(string id, Action work)
    {
        try
        {
            work();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.HousekeepingFailed(id, e.Message);
            return false;
        }
    }

    private sealed record Held(StoredCase Case, long Bytes);
}
