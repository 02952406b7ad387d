namespace VsockPair.Storage;

/// <summary>
/// What all boots of one guest name of <c>metadata/</c>, and how much that may be: a guest chooses names and bytes as it likes, and may come again and again. A file counts in full
/// for each guest that names it: what one may store cannot depend on others. Any thread.
/// </summary>
internal sealed class GuestMetadata(MetadataStore files)
{
    /// <summary>Twenty kernels with all their symbols, or the modules of three hundred boots: a kernel has 20 to 30 MiB, of which a boot of its own has 1 to 2.</summary>
    public const long MaxBytes = 512L << 20;

    /// <summary>Of one boot. A kernel with every event enabled has a third of that.</summary>
    public const int MaxNamesOfBoot = 8192;

    /// <summary>Of all boots: they are also held in memory and written with each boot.json.</summary>
    public const int MaxNames = 16 * MaxNamesOfBoot;

    private readonly Lock _gate = new();

    /// <summary>Hash → how often it is named, and its bytes.</summary>
    private readonly Dictionary<string, (int Names, long Bytes)> _named = new(StringComparer.Ordinal);

    private int _names;
    private long _bytes;

    /// <summary>Whether one more file of this size may be named.</summary>
    public bool HasRoom(long bytes)
    {
        lock (_gate)
        {
            return _names < MaxNames && _bytes + bytes <= MaxBytes;
        }
    }

    /// <summary>One more boot.json names the file, which the caller holds.</summary>
    /// <returns>False when there is no room for it.</returns>
    public bool TryAdd(string sha256)
    {
        lock (_gate)
        {
            if (_names >= MaxNames || (!_named.ContainsKey(sha256) && _bytes + files.BytesOf(sha256) > MaxBytes))
            {
                return false;
            }
            Add(sha256);
            return true;
        }
    }

    /// <summary>As <see cref="TryAdd"/>, for what a boot.json names already.</summary>
    public void Add(string sha256)
    {
        lock (_gate)
        {
            if (!_named.TryGetValue(sha256, out (int Names, long Bytes) file))
            {
                files.Hold(sha256);
                file.Bytes = files.BytesOf(sha256);
                _bytes += file.Bytes;
            }
            _named[sha256] = (file.Names + 1, file.Bytes);
            _names++;
        }
    }

    /// <summary>One boot.json on the disk does not name it any more.</summary>
    public void Remove(string sha256)
    {
        lock (_gate)
        {
            (int names, long bytes) = _named[sha256];
            _names--;
            if (names > 1)
            {
                _named[sha256] = (names - 1, bytes);
                return;
            }
            _named.Remove(sha256);
            _bytes -= bytes;
            files.Release(sha256);
        }
    }
}
