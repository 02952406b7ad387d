namespace VsockPair.GuestAgent.Files;

/// <summary>Size and SHA-256 of a file.</summary>
internal readonly record struct FileHash(long Size, byte[] Sha256);

/// <summary>What this process has hashed already; a new session offers it again without reading it.</summary>
internal sealed class FileHashes
{
    private readonly Dictionary<string, FileHash> _known = [];

    public bool TryGet(OfferedFile file, out FileHash hash)
    {
        hash = default;
        return file.HashKey is not null && _known.TryGetValue(file.HashKey, out hash);
    }

    public void Add(OfferedFile file, FileHash hash)
    {
        if (file.HashKey is not null)
        {
            _known[file.HashKey] = hash;
        }
    }

    public void Forget(OfferedFile file)
    {
        if (file.HashKey is not null)
        {
            _known.Remove(file.HashKey);
        }
    }
}
