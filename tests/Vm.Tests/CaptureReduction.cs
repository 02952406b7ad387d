using System.Globalization;
using System.Text;
using VsockPair.Decoding;
using VsockPair.HostCollector.Tests.Decoding;
using VsockPair.TestKit;
using VsockPair.TestKit.Vm;
using VsockPair.Tracing;

namespace VsockPair.Vm.Tests;

/// <summary>Makes recordings comparable, and small enough for the repository.</summary>
internal static class CaptureReduction
{
    /// <summary>The guest's <c>/proc/kallsyms</c> in the two parts that agents send (PROTOCOL.md §8).</summary>
    public static Dictionary<string, byte[]> Metadata(TraceCapture capture)
    {
        string[] lines = Encoding.ASCII.GetString(capture.Metadata["kallsyms"]).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] texts = lines.Single(l => l.EndsWith(" _text", StringComparison.Ordinal)).Split(' ');
        ulong text = ulong.Parse(texts[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        StringBuilder core = new();
        StringBuilder boot = new(texts[0] + " _text\n");
        foreach (string line in lines)
        {
            ulong address = ulong.Parse(line.AsSpan(0, 16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
            if (line.EndsWith(']'))
            {
                boot.Append(line).Append('\n');
            }
            else
            {
                core.Append(address >= text && line[17] is not ('A' or 'a') ? string.Create(CultureInfo.InvariantCulture, $"+{address - text:x}{line[16..]}") : line).Append('\n');
            }
        }
        Dictionary<string, byte[]> metadata = new(capture.Metadata) { ["kallsyms"] = Encoding.ASCII.GetBytes(core.ToString()), ["kallsyms-boot"] = Encoding.ASCII.GetBytes(boot.ToString()) };
        return metadata;
    }

    /// <summary>What trace-cmd prints of sub-buffers, without its first line ("cpus=2").</summary>
    public static async Task<List<string>> ReportAsync(IReadOnlyDictionary<string, byte[]> metadata, byte[] kallsyms, IReadOnlyList<byte[]> cpus, int subBufferBytes)
    {
        string folder = Directory.CreateTempSubdirectory("vsockpair-capture-").FullName;
        try
        {
            List<string[]> files = [];
            foreach (byte[] bytes in cpus)
            {
                files.Add([Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"cpu{files.Count}"))]);
                await File.WriteAllBytesAsync(files[^1][0], bytes);
            }
            List<string> lines = [];
            await TraceCmdReport.ReadAsync(metadata, kallsyms, files, subBufferBytes, lines.Add);
            return lines[1..];
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The first sub-buffers of each CPU, and of the metadata only what their events need.</summary>
    public static async Task<CaptureFile> SmallAsync(TraceCapture capture, int subBuffers)
    {
        byte[][] cpus = [.. capture.Cpus.Select(bytes => bytes[..Math.Min(bytes.Length, subBuffers * capture.SubBufferBytes)])];
        Dictionary<string, byte[]> all = Metadata(capture);
        EventCatalog catalog = new(all.Keys, all.GetValueOrDefault);
        HashSet<string> formats = [];
        SortedSet<ulong> values = [];
        foreach (byte[] bytes in cpus)
        {
            for (int at = 0; at < bytes.Length; at += capture.SubBufferBytes)
            {
                EventCursor cursor = new(bytes.AsSpan(at, capture.SubBufferBytes));
                while (cursor.TryRead(out RingEvent ringEvent))
                {
                    EventFormat format = catalog.Find(ringEvent.Id)!;
                    formats.Add($"events/{format.System}/{format.Name}/format");
                    for (int i = 0; i + sizeof(ulong) <= ringEvent.Payload.Length; i += sizeof(uint))
                    {
                        values.Add(BitConverter.ToUInt64(ringEvent.Payload[i..]));
                    }
                }
            }
        }
        byte[] kallsyms = UsedSymbols(capture.Metadata["kallsyms"], values);
        TraceCapture reduced = capture with { Metadata = new Dictionary<string, byte[]>(capture.Metadata) { ["kallsyms"] = kallsyms } };
        Dictionary<string, byte[]> metadata = Metadata(reduced)
            .Where(m => m.Key is "events/header_page" or "events/header_event" or "kallsyms" or "kallsyms-boot" or "saved_cmdlines" or "printk_formats"
                || formats.Contains(m.Key) || m.Key.StartsWith("events/ftrace/", StringComparison.Ordinal)).ToDictionary();
        return new CaptureFile(metadata, cpus, capture.SubBufferBytes, await ReportAsync(metadata, kallsyms, cpus, capture.SubBufferBytes));
    }

    // The symbols that values of events lie in, and each one's successor, which says where it ends.
    private static byte[] UsedSymbols(byte[] kallsyms, SortedSet<ulong> values)
    {
        (ulong Address, string Line)[] lines = [.. Encoding.ASCII.GetString(kallsyms).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => (ulong.Parse(line.AsSpan(0, 16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture), line))];
        ulong[] starts = [.. lines.Select(l => l.Address).Distinct().Order()];
        HashSet<ulong> kept = [];
        foreach (ulong value in values.Where(v => v > 0xffff_ffff_0000_0000 && v < starts[^1]))
        {
            int at = Array.BinarySearch(starts, value);
            at = at < 0 ? ~at - 1 : at;
            if (at >= 0)
            {
                kept.Add(starts[at]);
                kept.Add(starts[at + 1]);
            }
        }
        IEnumerable<string> used = lines.Where(l => kept.Contains(l.Address) || l.Line.EndsWith(" _text", StringComparison.Ordinal) || l.Line.EndsWith(" vmemmap_base", StringComparison.Ordinal))
            .Select(l => l.Line);
        return Encoding.ASCII.GetBytes(string.Join('\n', used) + "\n");
    }
}
