using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>How this kernel's rings are best moved to a socket, found out by trying, never by its version.</summary>
internal enum ReadStrategy
{
    /// <summary>Sub-buffers above one page could be set: splice one at a time.</summary>
    SpliceLarge,

    /// <summary>Sub-buffers of one page, but the kernel's splice to a socket takes 16 pages at once.</summary>
    SplicePages,

    /// <summary>splice to a socket would make a packet of each page: read, and send 64 KiB at once.</summary>
    Read,
}

internal static unsafe class ReadStrategyProbe
{
    /// <param name="kallsyms">Names in it are readable whatever kptr_restrict says.</param>
    public static ReadStrategy Probe(int subBufferBytes, string kallsyms) =>
        subBufferBytes > Wire.MinSubBufferBytes ? ReadStrategy.SpliceLarge
        : HasSymbol(kallsyms, " splice_to_socket\n"u8) ? ReadStrategy.SplicePages
        : ReadStrategy.Read;

    public static RecordStage CreateStage(ReadStrategy strategy, int trace, int subBufferBytes) =>
        strategy == ReadStrategy.Read ? new ReadStage(trace, subBufferBytes) : new SpliceStage(trace, subBufferBytes);

    public static string Describe(ReadStrategy strategy) => strategy switch
    {
        ReadStrategy.SpliceLarge => "splice of large sub-buffers (S1)",
        ReadStrategy.SplicePages => "splice of pages (S2)",
        _ => "read and send (S3)",
    };

    private static bool HasSymbol(string path, ReadOnlySpan<byte> line)
    {
        int opened = Sys.Open(path, Constants.O_RDONLY);
        if (opened < 0)
        {
            return false;
        }
        using Fd file = new(opened);
        const int BufferBytes = 16384;
        byte* buffer = stackalloc byte[BufferBytes];
        int kept = 0;
        while (true)
        {
            int n = Sys.Read(file.Value, buffer + kept, BufferBytes - kept);
            if (n <= 0)
            {
                return false;
            }
            Span<byte> text = new(buffer, kept + n);
            if (text.IndexOf(line) >= 0)
            {
                return true;
            }
            // The symbol may lie across two reads.
            kept = Math.Min(line.Length - 1, text.Length);
            text[^kept..].CopyTo(text);
        }
    }
}
