using System.Text.Json.Nodes;

namespace VsockPair.TestKit.Store;

/// <summary>One boot's folder.</summary>
public sealed class StoredBoot(string folder)
{
    public string Folder { get; } = folder;

    public JsonNode Record => JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "boot.json")))!;

    public string BootId => Record["boot_id"]!.GetValue<string>();

    public IReadOnlyList<JsonNode> Losses => Ledger.Read(Path.Combine(Folder, "losses.jsonl"));

    public IReadOnlyList<string> PstoreFiles =>
        Directory.Exists(Path.Combine(Folder, "pstore")) ? [.. Directory.GetFiles(Path.Combine(Folder, "pstore")).Order(StringComparer.Ordinal)] : [];

    /// <summary>Segments of one vCPU, oldest first.</summary>
    public IReadOnlyList<StoredSegment> Segments(int vcpu) => StoredSegment.In(Path.Combine(Folder, "trace", $"cpu{vcpu}"));

    public long Events(int vcpu) => Segments(vcpu).Sum(segment => segment.CountEvents());

    /// <summary>kmsg files, oldest first.</summary>
    public IReadOnlyList<string> KmsgFiles =>
        Directory.Exists(Path.Combine(Folder, "kmsg")) ? [.. Directory.GetFiles(Path.Combine(Folder, "kmsg"), "*.kmsg").Order(StringComparer.Ordinal)] : [];

    /// <summary>Every record, each as bytes with its continuation lines, in stored order.</summary>
    public IReadOnlyList<KmsgText> KmsgRecords => KmsgText.Split(KmsgFiles.SelectMany(File.ReadAllBytes).ToArray());

    /// <summary>The bytes of a metadata file, by its name in PROTOCOL.md.</summary>
    public byte[] Metadata(string name) =>
        File.ReadAllBytes(Path.Combine(Folder, "../../../../metadata", Record["metadata"]![name]?.GetValue<string>()
            ?? throw new InvalidDataException($"boot.json has no metadata {name}")));

    public IReadOnlyList<string> MetadataNames => [.. Record["metadata"]!.AsObject().Select(entry => entry.Key)];
}
