using VsockPair.Export.Perfetto;

namespace VsockPair.Export;

/// <summary>A format that <c>vsockpair export</c> writes.</summary>
/// <param name="Name">As <c>--format</c> says it and as the file's suffix.</param>
/// <param name="CanBeStreamed">Into a pipe.</param>
/// <param name="Create">Null for what is no trace: the whole of a case.</param>
internal sealed record ExportFormat(string Name, bool CanBeStreamed, Func<IExporter>? Create)
{
    public const string TraceDat = "dat";
    public const string Archive = "tar.zst";

    public static IReadOnlyList<ExportFormat> All { get; } =
    [
        new(TraceDat, CanBeStreamed: false, () => new TraceDatExporter()),
        new("pftrace", CanBeStreamed: true, () => new PerfettoExporter()),
        new("txt", CanBeStreamed: true, () => new TextExporter()),
        new("ndjson", CanBeStreamed: true, () => new NdjsonExporter()),
        new(Archive, CanBeStreamed: true, null),
    ];

    public static string Names { get; } = string.Join(", ", All.Select(f => f.Name));

    public static ExportFormat? TryFind(string name) => All.FirstOrDefault(f => f.Name == name);

    public static ExportFormat? OfPath(string path) => All.FirstOrDefault(f => path.EndsWith("." + f.Name, StringComparison.Ordinal));
}
