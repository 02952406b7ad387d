using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>One crash service works on a store: two would fight for its machines and its cases.</summary>
internal sealed class WatchStore : IDisposable
{
    private readonly FileStream _lock;

    /// <exception cref="IOException">It cannot be written, or another one has it.</exception>
    public WatchStore(CollectorOptions options)
    {
        string folder = options.StoreDirectory;
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute);
        try
        {
            // FileShare.None is flock(LOCK_EX | LOCK_NB): it ends with the process, however that dies.
            _lock = new FileStream(Path.Combine(folder, ".watch.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"{folder}: another vsockpair watch works on this store, or it cannot be locked ({e.Message}). Stop that one, or give another --store.", e);
        }
        Socket = StorePaths.WatchSocket(folder);
    }

    /// <summary>Path of <c>watch.sock</c>.</summary>
    public string Socket { get; }

    public void Dispose() => _lock.Dispose();
}
