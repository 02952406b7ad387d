using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>The files that decode one boot, by their names in PROTOCOL.md §8. The names are the guest's, the paths the host's own.</summary>
internal sealed class BootMetadata(string store, StoredBoot boot)
{
    private const int HashDigits = 64;

    private readonly IReadOnlyDictionary<string, string> _files = boot.Record?.Metadata ?? new Dictionary<string, string>();

    /// <summary>Sorted, also those whose file is gone.</summary>
    public IEnumerable<string> Names => _files.Keys.Order(StringComparer.Ordinal);

    public bool Has(string name) => PathOf(name) is not null;

    /// <summary>Null when the guest did not send it, or its file is gone.</summary>
    public byte[]? Read(string name) => PathOf(name) is string path ? File.ReadAllBytes(path) : null;

    private string? PathOf(string name)
    {
        if (!_files.TryGetValue(name, out string? sha256) || sha256.Length != HashDigits || !sha256.All(char.IsAsciiHexDigitLower))
        {
            return null;
        }
        string path = Path.Combine(StorePaths.Metadata(store), sha256);
        return File.Exists(path) ? path : null;
    }
}
