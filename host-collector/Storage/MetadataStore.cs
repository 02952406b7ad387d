using System.Security.Cryptography;

namespace VsockPair.Storage;

/// <summary>
/// Files of <c>metadata/</c>, named by their SHA-256 and shared by all guests. Who needs one holds it: each guest whose boots name it (<see cref="GuestMetadata"/>), and
/// whoever is about to name it. The last one to release it removes it. Holds follow from the boot.json files alone, so nothing else has to survive a restart. Any thread.
/// </summary>
internal sealed class MetadataStore
{
    private readonly Lock _gate = new();
    private readonly string _folder;
    private readonly Dictionary<string, int> _holders = new(StringComparer.Ordinal);

    /// <summary>Until every guest's boots were read, a file without a holder may only seem to have none.</summary>
    private bool _allKnown;

    public MetadataStore(string folder)
    {
        _folder = folder;
        foreach (string left in Directory.GetFiles(folder, "*" + DurableFile.TemporarySuffix))
        {
            File.Delete(left);
        }
    }

    public string PathOf(string sha256) => Path.Combine(_folder, sha256);

    /// <returns>0 when there is no such file.</returns>
    public long BytesOf(string sha256) => new FileInfo(PathOf(sha256)) is { Exists: true, Length: long bytes } ? bytes : 0;

    /// <summary>For a file that a boot.json names, or that is about to come.</summary>
    public void Hold(string sha256)
    {
        lock (_gate)
        {
            _holders[sha256] = _holders.GetValueOrDefault(sha256) + 1;
        }
    }

    /// <summary>Holds the file if it is there.</summary>
    public bool TryHold(string sha256)
    {
        lock (_gate)
        {
            if (!File.Exists(PathOf(sha256)))
            {
                return false;
            }
            Hold(sha256);
            return true;
        }
    }

    /// <summary>An empty file, such as the module list of a kernel without modules, has no bytes that could be sent: it is made at once.</summary>
    /// <returns>False when that is not the hash of nothing.</returns>
    public bool TryHoldEmpty(string sha256)
    {
        if (sha256 != Convert.ToHexStringLower(SHA256.HashData([])))
        {
            return false;
        }
        lock (_gate)
        {
            File.WriteAllBytes(PathOf(sha256), []);
            Hold(sha256);
            return true;
        }
    }

    /// <summary>Makes and holds a file of the collector's own.</summary>
    /// <exception cref="IOException">The disk does not take it.</exception>
    public string HoldNew(byte[] content)
    {
        string sha256 = Convert.ToHexStringLower(SHA256.HashData(content));
        lock (_gate)
        {
            if (!TryHold(sha256))
            {
                DurableFile.ReplaceSynced(PathOf(sha256), content);
                Hold(sha256);
            }
        }
        return sha256;
    }

    public void Release(string sha256)
    {
        lock (_gate)
        {
            int left = _holders[sha256] - 1;
            if (left > 0)
            {
                _holders[sha256] = left;
                return;
            }
            _holders.Remove(sha256);
            try
            {
                if (_allKnown)
                {
                    File.Delete(PathOf(sha256));
                }
            }
            catch (IOException)
            {
                // RemoveUnused comes again.
                return;
            }
        }
    }

    /// <summary>Every guest's boots have been read: what nobody holds now, and from here on, is of no use.</summary>
    /// <returns>Files removed.</returns>
    public int RemoveUnused()
    {
        lock (_gate)
        {
            _allKnown = true;
            string[] unused = [.. Directory.GetFiles(_folder)
                .Where(f => !f.EndsWith(DurableFile.TemporarySuffix, StringComparison.Ordinal) && !_holders.ContainsKey(Path.GetFileName(f)))];
            foreach (string file in unused)
            {
                File.Delete(file);
            }
            return unused.Length;
        }
    }
}
