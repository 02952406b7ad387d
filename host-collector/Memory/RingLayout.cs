using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>
/// Where the members of ftrace's ring buffer lie (<c>kernel/trace/ring_buffer.c</c>) in one kernel. The names are those of Linux 5.10 to 6.12; a kernel without one of
/// them has another ring buffer, of which nothing is guessed.
/// </summary>
internal sealed class RingLayout
{
    /// <summary>Of x86-64. A sub-buffer is a page, or 2^subbuf_order of them (6.8 and later).</summary>
    private const int PageBytes = 4096;

    /// <summary><c>struct list_head</c>: next, then prev.</summary>
    private const int ListBytes = 16;

    private readonly KernelTypes _types;
    private readonly List<string> _missing = [];

    private RingLayout(KernelTypes types)
    {
        _types = types;
        ArrayList = Need("trace_array", "list", ListBytes);
        ArrayName = Need("trace_array", "name");
        ArrayBuffer = Need("trace_array", "array_buffer.buffer");
        BufferVcpus = Need("trace_buffer", "buffers");
        BufferOrder = types.Find("trace_buffer", "subbuf_order");
        BufferVcpuCount = types.Find("trace_buffer", "cpus");
        NrPages = Need("ring_buffer_per_cpu", "nr_pages");
        CommitPage = Need("ring_buffer_per_cpu", "commit_page");
        ReaderPage = Need("ring_buffer_per_cpu", "reader_page");
        LostEvents = Need("ring_buffer_per_cpu", "lost_events");
        LastOverrun = Need("ring_buffer_per_cpu", "last_overrun");
        Entries = Need("ring_buffer_per_cpu", "entries");
        Overrun = Need("ring_buffer_per_cpu", "overrun");
        CommitOverrun = Need("ring_buffer_per_cpu", "commit_overrun");
        DroppedEvents = Need("ring_buffer_per_cpu", "dropped_events");
        Read = Need("ring_buffer_per_cpu", "read");
        ReadStamp = Need("ring_buffer_per_cpu", "read_stamp");
        PageList = Need("buffer_page", "list", ListBytes);
        PageRead = Need("buffer_page", "read");
        PageEntries = Need("buffer_page", "entries");
        PageRealEnd = Need("buffer_page", "real_end");
        PageData = Need("buffer_page", "page");
        KernelMember?[] header = [types.Find("buffer_data_page", "time_stamp"), types.Find("buffer_data_page", "commit"), types.Find("buffer_data_page", "data")];
        if (!header.SequenceEqual([new(0, 8), new(8, 8), new(16, 0)]))
        {
            _missing.Add("struct buffer_data_page of time stamp, commit and data");
        }
    }

    public KernelMember ArrayList { get; }

    public KernelMember ArrayName { get; }

    public KernelMember ArrayBuffer { get; }

    public KernelMember BufferVcpus { get; }

    /// <summary>Null where all sub-buffers are one page.</summary>
    public KernelMember? BufferOrder { get; }

    /// <summary>Null where only <c>nr_cpu_ids</c> says how many there can be.</summary>
    public KernelMember? BufferVcpuCount { get; }

    public KernelMember NrPages { get; }

    public KernelMember CommitPage { get; }

    public KernelMember ReaderPage { get; }

    public KernelMember LostEvents { get; }

    public KernelMember LastOverrun { get; }

    public KernelMember Entries { get; }

    public KernelMember Overrun { get; }

    public KernelMember CommitOverrun { get; }

    public KernelMember DroppedEvents { get; }

    public KernelMember Read { get; }

    public KernelMember ReadStamp { get; }

    public KernelMember PageList { get; }

    public KernelMember PageRead { get; }

    public KernelMember PageEntries { get; }

    public KernelMember PageRealEnd { get; }

    public KernelMember PageData { get; }

    /// <summary>Up to the last member that is used.</summary>
    public int VcpuBytes => new[] { NrPages, CommitPage, ReaderPage, LostEvents, LastOverrun, Entries, Overrun, CommitOverrun, DroppedEvents, Read, ReadStamp }.Max(m => m.End);

    public int RingPageBytes => new[] { PageList, PageRead, PageEntries, PageRealEnd, PageData }.Max(m => m.End);

    /// <param name="fault">What this kernel does not have; empty when it has all.</param>
    public static RingLayout? TryFind(KernelTypes types, out string fault)
    {
        RingLayout layout = new(types);
        fault = layout._missing.Count == 0 ? "" : $"this kernel's ring buffer is laid out in a way that is not known: it has no {string.Join(", ", layout._missing)}";
        return layout._missing.Count == 0 ? layout : null;
    }

    /// <returns>Null when no kernel has such.</returns>
    public static int? SubBufferBytes(ulong order) => order <= 7 ? PageBytes << (int)order : null;

    /// <summary>A number at its place in a struct that was read, in the width that this kernel has it in.</summary>
    public static ulong Value(ReadOnlySpan<byte> bytes, KernelMember member) => member.Size == sizeof(ulong)
        ? BinaryPrimitives.ReadUInt64LittleEndian(bytes[member.Offset..])
        : BinaryPrimitives.ReadUInt32LittleEndian(bytes[member.Offset..]);

    /// <param name="bytes">0 for a number or pointer of any width.</param>
    private KernelMember Need(string type, string path, int bytes = 0)
    {
        // The widest struct that is read has 8 KiB: beyond this a guest would have us read what it wants.
        const int furthest = 64 << 10;
        if (_types.Find(type, path) is KernelMember found && found.End <= furthest && (bytes == 0 ? found.Size is 4 or 8 : found.Size == bytes))
        {
            return found;
        }
        _missing.Add($"{path} in struct {type}");
        return default;
    }
}
