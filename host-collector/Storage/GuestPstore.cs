namespace VsockPair.Storage;

/// <summary>
/// Which crash records of a guest are stored, over all its boots, and the room that they may take: they are never evicted, so they must be few. Any thread.
/// </summary>
internal sealed class GuestPstore
{
    private const long Quota = 64L << 20;
    private const int MaxRecords = 1024;

    private readonly Lock _gate = new();
    private readonly HashSet<string> _hashes = new(StringComparer.Ordinal);
    private long _bytes;

    /// <summary>Finds what is stored, and clears away what a dead collector had not finished.</summary>
    public GuestPstore(IEnumerable<string> bootFolders)
    {
        foreach (string file in bootFolders.SelectMany(FilesOf))
        {
            if (file.EndsWith(DurableFile.TemporarySuffix, StringComparison.Ordinal))
            {
                File.Delete(file);
            }
            else if (TryHashOf(file, out string hash))
            {
                Add(hash, new FileInfo(file).Length);
            }
        }
    }

    public bool Has(string shortHash)
    {
        lock (_gate)
        {
            return _hashes.Contains(shortHash);
        }
    }

    public bool HasRoom(long bytes)
    {
        lock (_gate)
        {
            return _bytes + DiskSpace.Rounded(bytes) <= Quota && _hashes.Count < MaxRecords;
        }
    }

    public void Add(string shortHash, long bytes)
    {
        lock (_gate)
        {
            _hashes.Add(shortHash);
            _bytes += DiskSpace.Rounded(bytes);
        }
    }

    /// <summary>Before a boot's folder goes.</summary>
    public void RemoveAllOf(string bootFolder)
    {
        lock (_gate)
        {
            foreach (string file in FilesOf(bootFolder))
            {
                if (TryHashOf(file, out string hash) && _hashes.Remove(hash))
                {
                    _bytes -= DiskSpace.Rounded(new FileInfo(file).Length);
                }
            }
        }
    }

    private static string[] FilesOf(string bootFolder) => Directory.Exists(StorePaths.Pstore(bootFolder)) ? Directory.GetFiles(StorePaths.Pstore(bootFolder)) : [];

    /// <returns>False for a file that no collector has made.</returns>
    private static bool TryHashOf(string file, out string hash)
    {
        string name = Path.GetFileName(file);
        hash = name.Length > IncomingFile.ShortHashChars ? name[^IncomingFile.ShortHashChars..] : "";
        return hash.Length > 0;
    }
}
