using System.Globalization;
using System.Text;

namespace VsockPair.Decoding;

/// <summary>
/// <c>events/header_page</c>: the layout of a sub-buffer's own header. <see cref="Tracing.SubBuffer"/> reads that of 64-bit kernels.
/// </summary>
public sealed record HeaderPage
{
    /// <summary>Whether it is the layout by which events are read.</summary>
    public bool IsThatOf64Bits => CommitBytes == sizeof(ulong) && DataOffset == Tracing.SubBuffer.HeaderBytes;

    /// <summary>Width of the kernel's <c>long</c>.</summary>
    public required int CommitBytes { get; init; }

    /// <summary>Where the events begin.</summary>
    public required int DataOffset { get; init; }

    public required int SubBufferBytes { get; init; }

    /// <summary>What a 64-bit kernel says.</summary>
    public static string Text(int subBufferBytes) =>
        "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
        + string.Create(CultureInfo.InvariantCulture, $"\tfield: char data;\toffset:16;\tsize:{subBufferBytes - Tracing.SubBuffer.HeaderBytes};\tsigned:1;\n");

    public static HeaderPage? TryParse(ReadOnlySpan<byte> text)
    {
        FieldFormat? commit = null;
        FieldFormat? data = null;
        foreach (ReadOnlySpan<char> line in Encoding.Latin1.GetString(text).AsSpan().EnumerateLines())
        {
            if (FieldLine.TryParse(line.Trim()) is { } field)
            {
                commit = field.Name == "commit" ? field : commit;
                data = field.Name == "data" ? field : data;
            }
        }
        return commit is null || data is null
            ? null
            : new HeaderPage { CommitBytes = commit.Size, DataOffset = data.Offset, SubBufferBytes = data.Offset + data.Size };
    }
}
