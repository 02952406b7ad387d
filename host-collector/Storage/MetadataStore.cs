using System.Security.Cryptography;

namespace VsockPair.Storage;

/// <summary>Files of <c>metadata/</c>, named by their SHA-256 and shared by all guests. Any thread.</summary>
internal sealed class MetadataStore
{
    /// <summary>A file may be stored a moment before the boot.json that names it is: only older ones can be unused.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromHours(1);

    private readonly Lock _gate = new();
    private readonly string _folder;
    private readonly TimeProvider _time;

    public MetadataStore(string folder, TimeProvider time)
    {
        _folder = folder;
        _time = time;
        foreach (string left in Directory.GetFiles(folder, "*" + DurableFile.TemporarySuffix))
        {
            File.Delete(left);
        }
    }

    public string PathOf(string sha256) => Path.Combine(_folder, sha256);

    /// <summary>Whether the file is there. If so it stays for as long as it takes to write its name into boot.json.</summary>
    public bool Keep(string sha256)
    {
        lock (_gate)
        {
            string path = PathOf(sha256);
            if (!File.Exists(path))
            {
                return false;
            }
            File.SetLastWriteTimeUtc(path, _time.GetUtcNow().UtcDateTime);
            return true;
        }
    }

    /// <summary>An empty file, such as the module list of a kernel without modules, has no bytes that could be sent: it is made at once.</summary>
    /// <returns>False when that is not the hash of nothing.</returns>
    public bool TryKeepEmpty(string sha256)
    {
        if (sha256 != Convert.ToHexStringLower(SHA256.HashData([])))
        {
            return false;
        }
        File.WriteAllBytes(PathOf(sha256), []);
        return true;
    }

    /// <param name="used">Every hash that a boot.json names.</param>
    /// <returns>Files removed.</returns>
    public int RemoveUnused(IReadOnlySet<string> used)
    {
        int removed = 0;
        DateTime newest = (_time.GetUtcNow() - Grace).UtcDateTime;
        foreach (string file in Directory.GetFiles(_folder))
        {
            lock (_gate)
            {
                if (!used.Contains(Path.GetFileName(file)) && File.GetLastWriteTimeUtc(file) < newest)
                {
                    File.Delete(file);
                    removed++;
                }
            }
        }
        return removed;
    }
}
