using System.Text.RegularExpressions;
using VsockPair.Protocol;
using VsockPair.TestKit;

namespace VsockPair.Shared.Tests;

/// <summary>PROTOCOL.md is byte exact: each of its examples is what the code writes, and the code reads it back to the same bytes.</summary>
public sealed partial class ProtocolDocumentTests
{
    public static TheoryData<string> Names => [.. ProtocolExamples.All.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Document_shows_the_bytes_that_the_code_writes(string name)
    {
        string expected = ToHex(ProtocolExamples.All[name].Bytes());
        string shown = ReadBlocks().GetValueOrDefault(name, "");
        Assert.True(shown == expected, $"PROTOCOL.md should hold this block:\n```hex {name}\n{expected}\n```");
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Code_reads_what_it_writes(string name)
    {
        ProtocolExample example = ProtocolExamples.All[name];
        byte[] bytes = example.Bytes();
        ReadOnlySpan<byte> body = name == "tail" ? bytes : bytes.AsSpan(Frame.PrefixBytes);
        byte[] again = new byte[Wire.MaxFrameBytes];
        int length = example.EncodeAgain(body, again);
        Assert.Equal(ToHex(bytes), ToHex(again.AsSpan(0, Math.Max(length, 0))));
    }

    [Fact]
    public void Every_message_type_has_an_example()
    {
        HashSet<MessageType> shown = [];
        foreach (string name in ProtocolExamples.All.Keys.Where(n => n != "tail"))
        {
            Assert.True(Frame.TryReadType(ProtocolExamples.All[name].Bytes().AsSpan(Frame.PrefixBytes), out MessageType type));
            shown.Add(type);
        }
        Assert.Equal(Enum.GetValues<MessageType>().ToHashSet(), shown);
    }

    private static Dictionary<string, string> ReadBlocks() =>
        HexBlock().Matches(File.ReadAllText(Path.Combine(Repository.Root, "shared/PROTOCOL.md")))
            .ToDictionary(m => m.Groups[1].Value, m => m.Groups[2].Value.TrimEnd('\n'));

    /// <summary>16 bytes a line, as in the document.</summary>
    private static string ToHex(ReadOnlySpan<byte> bytes) =>
        string.Join('\n', bytes.ToArray().Chunk(16).Select(line => string.Join(' ', line.Select(b => $"{b:x2}"))));

    [GeneratedRegex("```hex ([a-z-]+)\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex HexBlock();
}
