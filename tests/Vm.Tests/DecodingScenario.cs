using VsockPair.TestKit.Vm;

namespace VsockPair.Vm.Tests;

/// <summary>What to trace in a guest, and what to let it do meanwhile.</summary>
internal sealed record DecodingScenario(string Name, int MinimumEvents, string Setup, string Load)
{
    /// <summary>Files, processes, signals, pipes, sockets, sleeps, memory: a little of everything that a busybox can cause.</summary>
    private const string Everything = """
        for i in 1 2 3; do
            dd if=/dev/zero of=/tmp/load bs=64k count=20 2>/dev/null; sync; cat /tmp/load | wc -c >/dev/null; rm /tmp/load
            (sleep 5 & p=$!; usleep 20000; kill -9 $p) 2>/dev/null
            ls -laR /sys/class >/dev/null 2>&1
            ip link set lo down; ip link set lo up; ip addr add 127.0.0.$((i + 4))/8 dev lo 2>/dev/null
            (nc -l -p 70$i -w 1 >/dev/null & usleep 100000; echo hello | nc -w 1 127.0.0.1 70$i) 2>/dev/null
            ping -c 2 -i 0.1 127.0.0.1 >/dev/null; ping6 -c 1 ::1 >/dev/null 2>&1
            echo "marker $i: 100% text" > trace_marker; printf 'RAWDATA12345%s' $i > trace_marker_raw
            echo "kernel log $i" > /dev/kmsg
            mount -t tmpfs none /mnt 2>/dev/null; echo x > /mnt/x; umount /mnt 2>/dev/null
            taskset 1 true; taskset 2 true; nice -n 5 true; timeout 1 sh -c 'while :; do :; done' &
            usleep 150000
        done
        wait
        echo 3 > /proc/sys/vm/drop_caches
        """;

    public static DecodingScenario Common { get; } = new(
        "common", 40,
        "for e in sched irq timer signal oom block raw_syscalls workqueue rcu net tcp task printk power; do [ -e events/$e ] && echo 1 > events/$e/enable; done",
        Everything);

    public static DecodingScenario All { get; } = new("all", 150, "echo 1 > events/enable", Everything);

    public static DecodingScenario Probes { get; } = new(
        "probes", 5,
        """
        echo 'p:opened do_sys_openat2 dfd=%di:s32 path=+0(%si):ustring how=+0(%dx):x64' > kprobe_events
        echo 'r:opened_ret do_sys_openat2 fd=$retval:s32' >> kprobe_events
        echo 'p:wrote vfs_write file=%di size=%dx:u64 comm=$comm stack=$stack' >> kprobe_events
        echo 'p:types vfs_read a=%di:u8 b=%di:s8 c=%di:x16 d=%di:b4@0/32 e=+0(%di):x8[4] f=%di:symbol g=%di:char' >> kprobe_events || true
        echo 1 > events/kprobes/enable
        echo 'stacktrace:5' > events/sched/sched_waking/trigger
        echo 1 > options/stacktrace; echo 1 > options/userstacktrace; echo 1 > options/sym-userobj
        echo 1 > events/signal/enable
        """,
        Everything);

    public static DecodingScenario Function { get; } = new(
        "function", 2,
        "echo 'vfs_*' > set_ftrace_filter; echo '*sched*' >> set_ftrace_filter; echo function > current_tracer; echo 1 > events/sched/sched_switch/enable",
        Everything);

    public static DecodingScenario Graph { get; } = new(
        "graph", 3,
        "echo ksys_read > set_graph_function; echo 'ksys_write' >> set_graph_function; echo function_graph > current_tracer; echo 1 > events/sched/sched_switch/enable",
        Everything);

    /// <summary>Traces, and gives back what was in the rings.</summary>
    public async Task<TraceCapture> RecordAsync(Guest guest, int bufferKiB)
    {
        (await guest.RunAsync($"cd {TraceCapture.Tracing}; echo 0 > tracing_on; echo {bufferKiB} > buffer_size_kb; echo 8192 > saved_cmdlines_size\n{Setup}")).EnsureSuccess();
        await guest.RunAsync($"cd {TraceCapture.Tracing}; echo 1 > tracing_on\n{Load}\necho 0 > tracing_on", TimeSpan.FromMinutes(4));
        return await TraceCapture.TakeAsync(guest);
    }
}
