using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using VsockPair.Options;

namespace VsockPair.Storage;

/// <summary>The store of one collector: exactly one process writes it at a time.</summary>
internal sealed class CollectorStore : IDisposable
{
    private readonly Lock _making = new();
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
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute);
        }
        try
        {
            // FileShare.None is flock(LOCK_EX | LOCK_NB): it ends with the process, however that dies.
            _lock = new FileStream(Path.Combine(Folder, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"{Folder}: another collector works on this store, or it cannot be locked ({e.Message}). Stop that one, or give another --store.", e);
        }
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
        lock (_making)
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
