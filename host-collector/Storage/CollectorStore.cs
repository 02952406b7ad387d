using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using VsockPair.Options;

namespace VsockPair.Storage;

/// <summary>The store of one collector: exactly one process writes it at a time.</summary>
internal sealed class CollectorStore : IDisposable
{
    /// <summary>One for each guest: opening one with a long history must not hold up the others.</summary>
    private readonly ConcurrentDictionary<string, Lock> _opening = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, GuestStore> _guests = new(StringComparer.Ordinal);
    private readonly FileStream _lock;

    /// <exception cref="IOException">It cannot be written, or another collector has it.</exception>
    public CollectorStore(CollectorOptions options, TimeProvider time, ILogger<StorageWorker> log)
    {
        Folder = Path.GetFullPath(options.StoreDirectory);
        Time = time;
        Limits = new StoreLimits(options.Store);
        foreach (string folder in (string[])[Folder, StorePaths.Metadata(Folder), StorePaths.Identity(Folder), StorePaths.Guests(Folder)])
        {
            Directory.CreateDirectory(folder, StoreLock.FolderMode);
        }
        _lock = StoreLock.Take(Folder, ".lock", "collector");
        Reserve = new DiskReserve(Folder);
        Reserve.TryFill();
        Log = log;
        Worker = new StorageWorker(log);
        Metadata = new MetadataStore(StorePaths.Metadata(Folder));
    }

    public string Folder { get; }

    public TimeProvider Time { get; }

    public DateTimeOffset Now => Time.GetUtcNow();

    public StoreLimits Limits { get; }

    public DiskReserve Reserve { get; }

    public ILogger Log { get; }

    public StorageWorker Worker { get; }

    public MetadataStore Metadata { get; }

    public IEnumerable<GuestStore> Guests => _guests.Values;

    /// <summary>Names of all guests that have a folder.</summary>
    public IEnumerable<string> GuestNames =>
        Directory.EnumerateDirectories(StorePaths.Guests(Folder)).Select(folder => Path.GetFileName(folder)).Where(name => GuestName.IsSafe(name));

    public GuestStore Guest(string name)
    {
        if (_guests.TryGetValue(name, out GuestStore? guest))
        {
            return guest;
        }
        lock (_opening.GetOrAdd(name, _ => new Lock()))
        {
            if (!_guests.TryGetValue(name, out guest))
            {
                guest = new GuestStore(this, name);
                _guests[name] = guest;
            }
            return guest;
        }
    }

    public void Dispose()
    {
        Worker.Dispose();
        foreach (GuestStore guest in _guests.Values)
        {
            guest.Dispose();
        }
        _lock.Dispose();
    }
}
