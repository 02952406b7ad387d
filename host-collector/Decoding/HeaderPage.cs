using System.Text;

namespace VsockPair.Decoding;

/// <summary>
/// <c>events/header_page</c>: the layout of a sub-buffer's own header. <see cref="Tracing.SubBuffer"/> reads that of 64-bit kernels, and this tells whether it may.
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
