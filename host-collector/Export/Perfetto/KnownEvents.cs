namespace VsockPair.Export.Perfetto;

/// <summary>An event that Perfetto has a message of its own for.</summary>
/// <param name="Field">In FtraceEvent.</param>
/// <param name="Fields">Name in the kernel's format → number in the message. Others are not in it.</param>
internal sealed record KnownEvent(int Field, IReadOnlyDictionary<string, int> Fields)
{
    /// <summary>A field of this name holds an address, which Perfetto wants as the number of an interned symbol.</summary>
    public static bool IsSymbol(string field) => field is "func" or "function";
}

/// <summary>The messages that Perfetto builds its views from: threads, states, system calls, interrupts, markers, functions. All others are generic events.</summary>
internal static class KnownEvents
{
    private static readonly Dictionary<(string System, string Event), KnownEvent> All = new()
    {
        [("ftrace", "print")] = Known(3, "ip", "buf"),
        [("sched", "sched_switch")] = Known(4, "prev_comm", "prev_pid", "prev_prio", "prev_state", "next_comm", "next_pid", "next_prio"),
        [("power", "cpu_frequency")] = Known(11, "state", "cpu_id"),
        [("power", "cpu_idle")] = Known(13, "state", "cpu_id"),
        [("sched", "sched_wakeup")] = Known(17, "comm", "pid", "prio", "success", "target_cpu"),
        [("sched", "sched_waking")] = Known(20, "comm", "pid", "prio", "success", "target_cpu"),
        [("irq", "softirq_entry")] = Known(24, "vec"),
        [("irq", "softirq_exit")] = Known(25, "vec"),
        [("irq", "softirq_raise")] = Known(26, "vec"),
        [("irq", "irq_handler_entry")] = Known(36, "irq", "name", "handler"),
        [("irq", "irq_handler_exit")] = Known(37, "irq", "ret"),
        [("workqueue", "workqueue_execute_end")] = Known(57, "work", "function"),
        [("workqueue", "workqueue_execute_start")] = Known(58, "work", "function"),
        [("sched", "sched_wakeup_new")] = Known(114, "comm", "pid", "prio", "success", "target_cpu"),
        [("task", "task_newtask")] = Known(235, "pid", "comm", "clone_flags", "oom_score_adj"),
        [("task", "task_rename")] = Known(236, "pid", "oldcomm", "newcomm", "oom_score_adj"),
        [("sched", "sched_process_exec")] = Known(237, "filename", "pid", "old_pid"),
        [("sched", "sched_process_exit")] = Known(238, "comm", "pid", "tgid", "prio"),
        [("sched", "sched_process_fork")] = Known(239, "parent_comm", "parent_pid", "child_comm", "child_pid"),
        [("sched", "sched_process_free")] = Known(240, "comm", "pid", "prio"),
        [("sched", "sched_process_hang")] = Known(241, "comm", "pid"),
        [("sched", "sched_process_wait")] = Known(242, "comm", "pid", "prio"),
        [("signal", "signal_deliver")] = Known(324, "code", "sa_flags", "sig"),
        [("signal", "signal_generate")] = Known(325, "code", "comm", "group", "pid", "result", "sig"),
        [("oom", "oom_score_adj_update")] = Known(326, "comm", "oom_score_adj", "pid"),
        [("raw_syscalls", "sys_enter")] = Known(329, "id"),
        [("raw_syscalls", "sys_exit")] = Known(330, "id", "ret"),
        [("oom", "mark_victim")] = Known(334, "pid"),
        [("ftrace", "funcgraph_entry")] = Known(437, "depth", "func"),
        [("ftrace", "funcgraph_exit")] = Known(438, "calltime", "depth", "func", "overrun", "rettime"),
    };

    public static KnownEvent? Find(string system, string name) => All.GetValueOrDefault((system, name));

    /// <summary>Their numbers count from one in the order of Perfetto's message.</summary>
    private static KnownEvent Known(int field, params string[] fields) =>
        new(field, fields.Select((name, index) => (name, index)).ToDictionary(f => f.name, f => f.index + 1, StringComparer.Ordinal));
}
