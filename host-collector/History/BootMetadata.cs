using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>The files that decode one boot, by their names in PROTOCOL.md §8. The names are the guest's, the paths the host's own.</summary>
internal sealed class BootMetadata(string store, StoredBoot boot)
{
    private const int HashDigits = 64;

    /// <summary>Looks at boot.json for a file that is gone again and again.</summary>
    private const int Looks = 3;

    private IReadOnlyDictionary<string, string> _files = boot.Record?.Metadata ?? new Dictionary<string, string>();

    /// <summary>Sorted, also those whose file is gone.</summary>
    public IEnumerable<string> Names => _files.Keys.Order(StringComparer.Ordinal);

    public bool Has(string name) => Find(name, path => File.Exists(path) ? path : null) is not null;

    /// <summary>Null when the guest did not send it, or its file is gone.</summary>
    public byte[]? Read(string name) => Find(name, TryRead);

    /// <summary>Of a boot that is being recorded, some files are replaced while one reads: boot.json then has another hash.</summary>
    private T? Find<T>(string name, Func<string, T?> look) where T : class
    {
        for (int i = 0; i < Looks && PathOf(name) is string path; i++)
        {
            if (look(path) is T found)
            {
                return found;
            }
            _files = StoredBoot.TryOpen(boot.Folder)?.Record?.Metadata ?? _files;
            if (PathOf(name) == path)
            {
                break;
            }
        }
        return null;
    }

    private static byte[]? TryRead(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    private string? PathOf(string name) =>
        _files.TryGetValue(name, out string? sha256) && sha256.Length == HashDigits && sha256.All(char.IsAsciiHexDigitLower)
            ? Path.Combine(StorePaths.Metadata(store), sha256)
            : null;
}
