using System.Collections.Concurrent;
using VsockPair.Cases;
using VsockPair.Linux;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>The cases of a store, by their files. One <see cref="CaseFolder"/> for each, so that all parts of this process see the same.</summary>
internal sealed class CaseFolders(CollectorOptions options, TimeProvider time)
{
    private const uint FolderMode = 0x1E8; // 0750

    private readonly ConcurrentDictionary<string, CaseFolder> _files = new(StringComparer.Ordinal);
    private readonly DiskReserve _reserve = new(options.StoreDirectory);

    public string Store => options.StoreDirectory;

    public DateTimeOffset Now => time.GetUtcNow();

    /// <summary>All that there are, oldest first. One whose event.json is missing or damaged is none: it pins nothing and is left to whoever cleans up.</summary>
    public IReadOnlyList<CaseFolder> All()
    {
        string folder = StorePaths.Cases(Store);
        string[] ids = Directory.Exists(folder)
            ? [.. Directory.EnumerateDirectories(folder).Select(f => Path.GetFileName(f)).Where(CasePaths.IsId).Order(StringComparer.Ordinal)]
            : [];
        foreach (string gone in _files.Keys.Except(ids))
        {
            _files.TryRemove(gone, out _);
        }
        return [.. ids.Select(Find).OfType<CaseFolder>()];
    }

    public IEnumerable<CaseFolder> Of(string guest) => All().Where(c => c.Event.Guest == guest);

    /// <summary>Makes its folder and writes event.json.</summary>
    /// <exception cref="IOException">The disk takes neither.</exception>
    public CaseFolder Create(CaseEvent caseEvent)
    {
        Directory.CreateDirectory(StorePaths.Cases(Store), StoreLock.FolderMode);
        for (int number = 0; ; number++)
        {
            string id = CasePaths.Id(caseEvent.Time, caseEvent.Guest, number);
            string folder = CasePaths.Folder(Store, id);
            int result = Sys.MakeDirectory(folder, FolderMode);
            if (result == -Errno.EEXIST)
            {
                continue;
            }
            LinuxException.Check(result, "mkdir", folder);
            CaseFolder file = new(folder, caseEvent with { Id = "" }, _reserve) { IsInHand = true };
            _files[id] = file;
            file.Update(e => e with { Id = id });
            DurableFile.SyncFolder(StorePaths.Cases(Store));
            return file;
        }
    }

    private CaseFolder? Find(string id)
    {
        if (_files.TryGetValue(id, out CaseFolder? file))
        {
            return file;
        }
        string folder = CasePaths.Folder(Store, id);
        return DurableFile.TryRead(CasePaths.Event(folder), CaseJson.Default.CaseEvent) is CaseEvent caseEvent && caseEvent.Id == id
            ? _files.GetOrAdd(id, _ => new CaseFolder(folder, caseEvent, _reserve))
            : null;
    }
}
