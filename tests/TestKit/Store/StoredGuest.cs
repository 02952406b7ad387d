using System.Text.Json.Nodes;

namespace VsockPair.TestKit.Store;

/// <summary>One guest's part of a store, read from the files alone as an outsider would: names and JSON as the design fixes them.</summary>
public sealed class StoredGuest(string store, string name)
{
    public string Folder { get; } = Path.Combine(store, "guests", name);

    /// <summary>Boots in the order in which they began.</summary>
    public IReadOnlyList<StoredBoot> Boots => !Directory.Exists(Path.Combine(Folder, "boots")) ? [] :
    [
        .. Directory.GetDirectories(Path.Combine(Folder, "boots"))
            .Where(folder => File.Exists(Path.Combine(folder, "boot.json")))
            .Select(folder => new StoredBoot(folder))
            .OrderBy(boot => boot.Record["started"]!.GetValue<string>(), StringComparer.Ordinal),
    ];

    public StoredBoot OnlyBoot => Boots.Count == 1 ? Boots[0] : throw new InvalidOperationException($"{name} has {Boots.Count} boots, not one");

    /// <summary>What retention removed of one stream of one boot.</summary>
    public IEnumerable<JsonNode> Removed(StoredBoot boot, string stream) =>
        Ledger.Read(Path.Combine(Folder, "losses.jsonl"))
            .Where(line => line["stream"]!.GetValue<string>() == stream && line["boot"]?.GetValue<string>() == Path.GetFileName(boot.Folder));
}
