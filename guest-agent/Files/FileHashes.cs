namespace VsockPair.GuestAgent.Files;

/// <summary>Size and SHA-256 of a file.</summary>
internal sealed class FileHash(long size, byte[] sha256)
{
    public long Size { get; } = size;

    public byte[] Sha256 { get; } = sha256;
}

/// <summary>What this process has hashed already, the last state of each file; a new session offers it again without reading it.</summary>
internal sealed class FileHashes
{
    private readonly Dictionary<string, (string Key, FileHash Hash)> _known = [];

    public FileHash? Find(OfferedFile file) =>
        file.HashKey is not null && _known.TryGetValue(Slot(file), out (string Key, FileHash Hash) known) && known.Key == file.HashKey ? known.Hash : null;

    public void Add(OfferedFile file, FileHash hash)
    {
        if (file.HashKey is not null)
        {
            _known[Slot(file)] = (file.HashKey, hash);
        }
    }

    public void Forget(OfferedFile file) => _known.Remove(Slot(file));

    // Two crash records in different folders may have the same name.
    private static string Slot(OfferedFile file) => file.Path ?? file.Name;
}
