using System.Globalization;
using System.Text;

namespace VsockPair.HostCollector.Tests.Decoding;

/// <summary>
/// Our report beside trace-cmd's, line for line. Two differences are wanted, and only these: trace-cmd 3.1.6 gives up on a few formats
/// (<c>[FAILED TO PARSE]</c>) and does not know <c>%c</c>, of which it prints <c>&gt;c&lt;</c>; ours prints what the kernel would.
/// </summary>
internal sealed class ReportComparison
{
    private readonly SortedDictionary<string, Counts> _events = new(StringComparer.Ordinal);

    /// <summary>The first lines that differ and should not: trace-cmd's, then ours.</summary>
    public List<string> Unexplained { get; } = [];

    public long Lines => _events.Values.Sum(c => c.Equal + c.Better + c.Different);

    public long Equal => _events.Values.Sum(c => c.Equal);

    public int Events => _events.Count;

    public static ReportComparison Of(CaptureFile capture)
    {
        ReportComparison comparison = new();
        int at = 0;
        ReportReplay.Print(capture.Catalog(), capture.Cpus, capture.SubBufferBytes, (line, name) =>
            comparison.Add(name, at < capture.Report.Count ? capture.Report[at++] : "(no more lines)", line));
        Assert.Equal(capture.Report.Count, at);
        return comparison;
    }

    public string Table()
    {
        StringBuilder table = new();
        table.Append(CultureInfo.InvariantCulture, $"{Events} kinds of events, {Equal} of {Lines} lines equal ({100.0 * Equal / Lines:0.00} %)\n");
        foreach ((string name, Counts counts) in _events.Where(e => e.Value.Equal < e.Value.Equal + e.Value.Better + e.Value.Different))
        {
            table.Append(CultureInfo.InvariantCulture, $"  {name}: {counts.Equal} equal, {counts.Better} that trace-cmd cannot print, {counts.Different} different\n");
        }
        return table.ToString();
    }

    private void Add(string name, string expected, string line)
    {
        Counts counts = _events.GetValueOrDefault(name);
        bool isBetter = expected != line && (expected.Contains("[FAILED TO PARSE]", StringComparison.Ordinal) || expected.Contains(">c<", StringComparison.Ordinal))
            && !line.Contains("[FAILED TO PARSE]", StringComparison.Ordinal);
        if (expected != line && !isBetter && Unexplained.Count < 20)
        {
            Unexplained.Add($"\n- {expected}\n+ {line}");
        }
        _events[name] = expected == line ? counts with { Equal = counts.Equal + 1 }
            : isBetter ? counts with { Better = counts.Better + 1 }
            : counts with { Different = counts.Different + 1 };
    }

    private readonly record struct Counts(long Equal, long Better, long Different);
}
