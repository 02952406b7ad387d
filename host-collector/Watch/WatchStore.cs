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
        Directory.CreateDirectory(folder, StoreLock.FolderMode);
        _lock = StoreLock.Take(folder, ".watch.lock", "vsockpair watch");
        Socket = StorePaths.WatchSocket(folder);
    }

    /// <summary>Path of <c>watch.sock</c>.</summary>
    public string Socket { get; }

    public void Dispose() => _lock.Dispose();
}
