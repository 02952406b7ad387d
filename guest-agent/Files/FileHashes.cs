namespace VsockPair.GuestAgent.Files;

/// <summary>Size and SHA-256 of a file.</summary>
internal sealed class FileHash(long size, byte[] sha256)
{
    public long Size { get; } = size;

    public byte[] Sha256 { get; } = sha256;
}

/// <summary>What this process has hashed already; a new session offers it again without reading it.</summary>
internal sealed class FileHashes
{
    private readonly Dictionary<string, FileHash> _known = [];

    public FileHash? Find(OfferedFile file) => file.HashKey is null ? null : _known.GetValueOrDefault(file.HashKey);

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
