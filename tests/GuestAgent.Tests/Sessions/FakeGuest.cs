using System.Runtime.InteropServices;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tests.Sessions;

/// <summary>A root folder with what the agent looks at in a guest: text files, and FIFOs that stand for the rings.</summary>
internal sealed unsafe partial class FakeGuest : IDisposable
{
    public const int SubBufferBytes = 4096;
    public const string Instance = "sys/kernel/tracing/instances/vsockpair";

    /// <summary>The instance whose clock is the kernel log's.</summary>
    public const string LogClock = "sys/kernel/tracing/instances/vsockpair-clock";

    private readonly Dictionary<int, Fd> _rings = [];

    public FakeGuest()
    {
        Write("proc/sys/kernel/random/boot_id", $"{BootId}\n");
        Write("proc/sys/kernel/osrelease", "6.12.0-test\n");
        Write("proc/sys/kernel/version", "#1 SMP\n");
        Write("proc/sys/kernel/hostname", "web1\n");
        Write("proc/meminfo", "MemTotal:        2014204 kB\nMemFree: 1 kB\n");
        Write("proc/modules", "vsock 61440 0 - Live 0x0000000000000000\n");
        Write("proc/kallsyms", "0000000000000000 A fixed_percpu_data\nffffffff81000000 T _text\nffffffff81000100 T splice_to_socket\nffffffffc0001000 t init\t[vsock]\n");
        Write("sys/kernel/notes", "");
        Write("sys/kernel/vmcoreinfo", "1a2b3c 1024\n");
        Write("sys/kernel/btf/vmlinux", new string('b', 100_000));
        Write("sys/devices/system/cpu/possible", "0-1\n");
        Write("sys/devices/system/cpu/present", "0-1\n");
        SetOnline("0");
        Write("sys/kernel/tracing/trace_clock", "[local] global counter boot\n");
        Write("sys/kernel/tracing/per_cpu/cpu0/stats", "entries: 0\nnow ts: 11.000000\n");
        Write($"{LogClock}/trace_clock", "[local] global counter boot\n");
        Write($"{LogClock}/buffer_size_kb", "7 (expanded: 1408)\n");
        Write($"{LogClock}/tracing_on", "1\n");
        Write($"{LogClock}/per_cpu/cpu0/stats", "entries: 0\nnow ts: 12.345678\n");
        Write("sys/kernel/tracing/saved_cmdlines", "1 init\n");
        Write("sys/kernel/tracing/printk_formats", "");
        Write($"{Instance}/trace_clock", "local global counter [boot]\n");
        Write($"{Instance}/set_event", "sched:sched_switch\nirq:irq_handler_entry\n");
        Write($"{Instance}/tracing_on", "1\n");
        Write($"{Instance}/set_event_notrace_pid", "");
        Write($"{Instance}/buffer_size_kb", "1027\n");
        Write($"{Instance}/buffer_percent", "50\n");
        Write($"{Instance}/current_tracer", "nop\n");
        Write($"{Instance}/set_ftrace_filter", "#### all functions enabled ####\n");
        Write($"{Instance}/available_tracers", "function_graph function nop\n");
        Write($"{Instance}/options/event-fork", "0\n");
        Write($"{Instance}/events/header_page",
            "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n");
        Write($"{Instance}/events/header_event", "# compressed entry header\n");
        Write($"{Instance}/events/sched/sched_switch/enable", "0\n");
        Write($"{Instance}/events/sched/sched_switch/filter", "none");
        Write($"{Instance}/events/sched/sched_switch/format", "name: sched_switch\n");
        Write($"{Instance}/events/irq/irq_handler_entry/enable", "1\n");
        Write($"{Instance}/events/kmem/kmalloc/enable", "0");
        Write($"{Instance}/events/kmem/kmalloc/filter", "none");
        Write($"{Instance}/events/kmem/kmalloc/format", "name: kmalloc\n");
        Write($"{Instance}/events/kmem/kfree/enable", "0");
        Write($"{Instance}/events/kmem/kfree/format", "name: kfree\n");
        Write($"{Instance}/events/ftrace/function/format", "name: function\n");
        AddRing(0);
        AddRing(1);
        Directory.CreateDirectory(Paths.State);
        new RingState { BootId = BootId, Generation = Generation, SubBufferBytes = SubBufferBytes }.Save(Paths.State);
    }

    public string Root { get; } = Directory.CreateTempSubdirectory("fake-guest-").FullName;

    public Guid BootId { get; } = Guid.NewGuid();

    public Guid Generation { get; } = Guid.NewGuid();

    public GuestPaths Paths => new(Root);

    public void Write(string file, string text)
    {
        string path = Path.Combine(Root, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    public string Read(string file) => File.ReadAllText(Path.Combine(Root, file));

    public void WriteInstance(string file, string text) => Write($"{Instance}/{file}", text);

    public string ReadInstance(string file) => Read($"{Instance}/{file}");

    public void SetOnline(string ranges) => Write("sys/devices/system/cpu/online", ranges + "\n");

    public void SetStats(int cpu, long read, long overrun, long entries = 0) =>
        Write($"{Instance}/per_cpu/cpu{cpu}/stats", $"entries: {entries}\noverrun: {overrun}\ncommit overrun: 0\ndropped events: 0\nread events: {read}\n");

    /// <summary>The vCPU's ring has one more full sub-buffer.</summary>
    public void Record(int cpu, byte fill)
    {
        byte[] subBuffer = new byte[SubBufferBytes];
        subBuffer[0] = fill;
        fixed (byte* p = subBuffer)
        {
            Assert.Equal(SubBufferBytes, Sys.Write(_rings[cpu].Value, p, SubBufferBytes));
        }
    }

    /// <returns>False when the ring is full: a FIFO is writable while it has room for a page.</returns>
    public bool TryRecord(int cpu, byte fill)
    {
        Span<PollFd> fds = [new PollFd { Fd = _rings[cpu].Value, Events = Constants.POLLOUT }];
        if (Sys.Poll(fds, 0) == 0)
        {
            return false;
        }
        Record(cpu, fill);
        return true;
    }

    public void Dispose()
    {
        foreach (Fd ring in _rings.Values)
        {
            ring.Dispose();
        }
        Directory.Delete(Root, recursive: true);
    }

    private void AddRing(int cpu)
    {
        SetStats(cpu, 0, 0);
        string path = Path.Combine(Root, Instance, $"per_cpu/cpu{cpu}/trace_pipe_raw");
        Assert.Equal(0, MakeFifo(path, 0x180));
        // Both ways, so that it opens without a reader.
        _rings.Add(cpu, Fd.Own(Sys.Open(path, Constants.O_RDWR), "open", path));
    }

    [LibraryImport("libc", EntryPoint = "mkfifo", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MakeFifo(string path, uint mode);
}
