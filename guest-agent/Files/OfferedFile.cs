using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Files;

/// <summary>A file as the collector is told of it. <see cref="Path"/> is set where it is one of the guest's own, byte for byte.</summary>
internal sealed class OfferedFile(OfferedKind kind, string name, Func<ByteSource> open)
{
    public OfferedKind Kind { get; } = kind;

    public string Name { get; } = name;

    public Func<ByteSource> Open { get; } = open;

    public string? Path { get; init; }

    /// <summary>CLOCK_REALTIME nanoseconds, 0 where it means nothing.</summary>
    public long Modified { get; init; }

    /// <summary>Names the content: while it stays the same the file is hashed only once. Null: hash it for each offer.</summary>
    public string? HashKey { get; init; }

    public static OfferedFile Metadata(string name, string path, string? hashKey = null) =>
        new(OfferedKind.Metadata, name, () => new FileSource(path)) { Path = path, HashKey = hashKey };

    public static OfferedFile Snapshot(string name, byte[] bytes) => new(OfferedKind.Metadata, name, () => new SnapshotSource(bytes));
}
