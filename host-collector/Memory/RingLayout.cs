namespace VsockPair.Memory;

/// <summary>
/// Where the members of ftrace's ring buffer lie (<c>kernel/trace/ring_buffer.c</c>) in one kernel. The names are those of Linux 5.10 to 6.12; a kernel without one of
/// them has another ring buffer, of which nothing is guessed.
/// </summary>
internal sealed class RingLayout
{
    /// <summary>Of x86-64. A sub-buffer is a page, or 2^subbuf_order of them (6.8 and later).</summary>
    private const int PageBytes = 4096;

    private RingLayout(KernelTypes types, MemberSearch search)
    {
        ArrayList = search.List("trace_array", "list");
        ArrayName = search.Number("trace_array", "name");
        ArrayBuffer = search.Number("trace_array", "array_buffer.buffer");
        BufferVcpus = search.Number("trace_buffer", "buffers");
        BufferOrder = types.Find("trace_buffer", "subbuf_order");
        BufferVcpuCount = types.Find("trace_buffer", "cpus");
        NrPages = search.Number("ring_buffer_per_cpu", "nr_pages");
        CommitPage = search.Number("ring_buffer_per_cpu", "commit_page");
        ReaderPage = search.Number("ring_buffer_per_cpu", "reader_page");
        LostEvents = search.Number("ring_buffer_per_cpu", "lost_events");
        LastOverrun = search.Number("ring_buffer_per_cpu", "last_overrun");
        Entries = search.Number("ring_buffer_per_cpu", "entries");
        Overrun = search.Number("ring_buffer_per_cpu", "overrun");
        CommitOverrun = search.Number("ring_buffer_per_cpu", "commit_overrun");
        DroppedEvents = search.Number("ring_buffer_per_cpu", "dropped_events");
        Read = search.Number("ring_buffer_per_cpu", "read");
        ReadStamp = search.Number("ring_buffer_per_cpu", "read_stamp");
        PageList = search.List("buffer_page", "list");
        PageRead = search.Number("buffer_page", "read");
        PageEntries = search.Number("buffer_page", "entries");
        PageRealEnd = search.Number("buffer_page", "real_end");
        PageData = search.Number("buffer_page", "page");
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
        MemberSearch search = new(types);
        RingLayout layout = new(types, search);
        KernelMember?[] header = [types.Find("buffer_data_page", "time_stamp"), types.Find("buffer_data_page", "commit"), types.Find("buffer_data_page", "data")];
        bool known = header.SequenceEqual([new(0, 8), new(8, 8), new(16, 0)]);
        IEnumerable<string> missing = known ? search.Missing : search.Missing.Append("struct buffer_data_page of time stamp, commit and data");
        fault = missing.Any() ? $"this kernel's ring buffer is laid out in a way that is not known: there is no {string.Join(", ", missing)}" : "";
        return fault.Length == 0 ? layout : null;
    }

    /// <returns>Null when no kernel has such.</returns>
    public static int? SubBufferBytes(ulong order) => order <= 7 ? PageBytes << (int)order : null;
}
