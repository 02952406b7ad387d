using System.Globalization;
using System.IO.Compression;
using System.Text;
using VsockPair.Decoding;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>
/// A small recording of a real guest in a zip file: the boot's metadata under the names of PROTOCOL.md §8, sub-buffers in <c>cpuN</c>, and in <c>report</c> what
/// <c>trace-cmd report</c> 3.1.6 made of them.
/// </summary>
internal sealed record CaptureFile(IReadOnlyDictionary<string, byte[]> Metadata, IReadOnlyList<byte[]> Cpus, int SubBufferBytes, IReadOnlyList<string> Report)
{
    private const string ReportName = "report";

    public EventCatalog Catalog() => new(Metadata.Keys, Metadata.GetValueOrDefault);

    public static CaptureFile Read(string path)
    {
        using ZipArchive zip = ZipFile.OpenRead(path);
        Dictionary<string, byte[]> files = zip.Entries.ToDictionary(entry => entry.FullName, Bytes);
        byte[][] cpus = [.. Enumerable.Range(0, files.Count).Select(CpuName).TakeWhile(files.ContainsKey).Select(name => files[name])];
        Dictionary<string, byte[]> metadata = files.Where(f => f.Key != ReportName && !f.Key.StartsWith("cpu", StringComparison.Ordinal)).ToDictionary();
        int size = HeaderPage.TryParse(metadata["events/header_page"])!.SubBufferBytes;
        return new CaptureFile(metadata, cpus, size, Encoding.Latin1.GetString(files[ReportName]).Split('\n'));
    }

    public void Write(string path)
    {
        using ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Create);
        void Add(string name, byte[] bytes)
        {
            ZipArchiveEntry entry = zip.CreateEntry(name, CompressionLevel.SmallestSize);
            // The same bytes for the same content.
            entry.LastWriteTime = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
            using Stream stream = entry.Open();
            stream.Write(bytes);
        }
        foreach ((string name, byte[] bytes) in Metadata.OrderBy(m => m.Key, StringComparer.Ordinal))
        {
            Add(name, bytes);
        }
        for (int cpu = 0; cpu < Cpus.Count; cpu++)
        {
            Add(CpuName(cpu), Cpus[cpu]);
        }
        Add(ReportName, Encoding.Latin1.GetBytes(string.Join('\n', Report)));
    }

    private static string CpuName(int cpu) => string.Create(CultureInfo.InvariantCulture, $"cpu{cpu}");

    private static byte[] Bytes(ZipArchiveEntry entry)
    {
        using Stream stream = entry.Open();
        using MemoryStream all = new();
        stream.CopyTo(all);
        return all.ToArray();
    }
}
