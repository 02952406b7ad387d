using System.Text.Json;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>
/// <c>cases/removed.jsonl</c>. A line is on the disk before what it tells of goes, so at most the last one may tell of something that is still there. Old lines are summed up.
/// </summary>
internal sealed class RemovedLedger(string store)
{
    public const string FileName = "removed.jsonl";

    private const int MostLines = 4096;

    private readonly string _path = Path.Combine(StorePaths.Cases(store), FileName);

    public IReadOnlyList<RemovedRecord> Read() => [.. JsonLines.Read(_path, RemovedJson.Default.RemovedRecord)];

    public void Append(RemovedRecord record)
    {
        IReadOnlyList<RemovedRecord> lines = Read();
        if (lines.Count >= MostLines)
        {
            DurableFile.ReplaceLines(_path, [.. Sums(lines.SkipLast(MostLines / 2)), .. lines.TakeLast(MostLines / 2)], RemovedJson.Default.RemovedRecord);
        }
        using FileStream file = new(_path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        file.Position = Math.Max(0, file.Length - 1);
        // What a power loss tore stays a line of its own, which cannot be read.
        bool isTorn = file.ReadByte() is not (-1 or '\n');
        file.Write([.. isTorn ? "\n"u8 : default, .. JsonSerializer.SerializeToUtf8Bytes(record, RemovedJson.Default.RemovedRecord), (byte)'\n']);
        file.Flush(flushToDisk: true);
    }

    private static IEnumerable<RemovedRecord> Sums(IEnumerable<RemovedRecord> lines) => lines.GroupBy(l => l.What).Select(same => new RemovedRecord
    {
        Time = same.Max(l => l.Time),
        What = same.Key,
        Bytes = same.Aggregate(0L, (sum, l) => Saturating.Add(sum, l.Bytes)),
        Why = same.Select(l => l.Why).Distinct().Count() == 1 ? same.First().Why : "several",
        Count = same.Aggregate(0L, (sum, l) => Saturating.Add(sum, l.Count)),
    });
}
