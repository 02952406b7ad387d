using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>The structs that are read of a kernel, as Debian's 6.1 and 6.12 lay them out.</summary>
internal static class FakeTypes
{
    public static KernelTypes Of(bool is612, string? without = null) => KernelTypes.TryParse(Btf(is612, without), out string fault) ?? throw new InvalidDataException(fault);

    /// <param name="without">A member of <c>ring_buffer_per_cpu</c> that goes by another name.</param>
    public static byte[] Btf(bool is612, string? without = null)
    {
        BtfBuilder btf = new();
        int u32 = btf.Number("unsigned int", 4);
        int u64 = btf.Number("long unsigned int", 8);
        int local = btf.Typedef("local_t", btf.Struct("", 8, ("a", u64, 0)));
        int pointer = btf.Pointer();
        int list = btf.Struct("list_head", 16, ("next", pointer, 0), ("prev", pointer, 8));
        btf.Others();
        int nothing = btf.Array(u32, 0);
        btf.Struct("buffer_data_page", 16, ("time_stamp", u64, 0), ("commit", local, 8), ("data", nothing, 16));
        if (is612)
        {
            btf.BitStruct("buffer_page", 64,
                ("list", list, 0, 0), ("write", local, 128, 0), ("read", u32, 192, 0), ("entries", local, 256, 0), ("real_end", u64, 320, 0), ("order", u32, 384, 0),
                ("id", u32, 416, 30), ("range", u32, 446, 1), ("page", pointer, 448, 0));
        }
        else
        {
            btf.Struct("buffer_page", 56, ("list", list, 0), ("write", local, 16), ("read", u32, 24), ("entries", local, 32), ("real_end", u64, 40), ("page", pointer, 48));
        }
        int shift = is612 ? 16 : 0;
        string Name(string name) => name == without ? "renamed" : name;
        btf.Struct("ring_buffer_per_cpu", 480 + shift,
            (Name("nr_pages"), u64, 40 + shift / 2), (Name("commit_page"), pointer, 80 + shift), (Name("reader_page"), pointer, 88 + shift), (Name("lost_events"), u64, 96 + shift),
            (Name("last_overrun"), u64, 104 + shift), (Name("entries"), local, 128 + shift), (Name("overrun"), local, 136 + shift), (Name("commit_overrun"), local, 144 + shift),
            (Name("dropped_events"), local, 152 + shift), (Name("read"), u64, 216 + shift), (Name("read_stamp"), u64, 288 + shift));
        int buffer = is612
            ? btf.Struct("trace_buffer", 256, ("flags", u32, 0), ("buffers", pointer, 64), ("subbuf_order", u32, 248))
            : btf.Struct("trace_buffer", 192, ("flags", u32, 0), ("cpus", u32, 4), ("buffers", pointer, 64));
        int toBuffer = btf.Volatile(btf.Pointer(buffer));
        int array = btf.Struct("array_buffer", 40, ("tr", pointer, 0), ("buffer", toBuffer, 8));
        btf.Struct("trace_array", 8016, ("list", list, 0), ("name", pointer, 16), ("array_buffer", array, 24));

        int comm = btf.Array(btf.Number("char", 1), 16);
        int thread = btf.Struct("thread_info", 24, ("flags", u64, 0), ("cpu", u32, 20));
        btf.Struct("task_struct", 9728,
            ("thread_info", thread, 0), ("__state", u32, 24), ("tasks", list, 2192), ("exit_state", u32, 2308), ("pid", u32, 2416), ("tgid", u32, 2420), ("thread_node", list, 2608),
            ("comm", comm, 2976), ("signal", pointer, 3072));
        btf.Struct("signal_struct", 1112, ("nr_threads", u32, 8), ("thread_head", list, 16));
        // Since sched_ext the current task is one of two names in an unnamed union.
        int current = btf.Union("", 8, ("donor", pointer, 0), ("curr", pointer, 0));
        btf.Struct("rq", 3264, ("nr_running", u32, 4), ("", current, 2400));
        return btf.Build();
    }
}
