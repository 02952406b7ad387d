using System.Text.Json.Nodes;

namespace VsockPair.TestKit.Store;

/// <summary>A <c>losses.jsonl</c>.</summary>
public static class Ledger
{
    public static IReadOnlyList<JsonNode> Read(string path) =>
        !File.Exists(path) ? [] : [.. File.ReadAllLines(path).Where(line => line.Length > 0).Select(line => JsonNode.Parse(line)!)];

    /// <summary>Sum of one figure over the lines of one source and stream; a line that does not know it fails the test.</summary>
    public static long Sum(this IEnumerable<JsonNode> lines, string source, string stream, string figure) =>
        lines.Where(line => line["source"]!.GetValue<string>() == source && line["stream"]!.GetValue<string>() == stream)
            .Sum(line => line[figure]?.GetValue<long>() ?? throw new InvalidDataException($"a {source} line of {stream} does not know its {figure}: {line}"));
}
