namespace VsockPair.Memory;

/// <summary>Where the members of a kernel's <c>task_struct</c> and <c>rq</c> lie that a list of tasks needs (Linux 5.10 to 6.12).</summary>
internal sealed class TaskLayout
{
    private const int CommBytes = 16;

    private TaskLayout()
    {
    }

    public required KernelMember Tasks { get; init; }

    public required KernelMember ThreadNode { get; init; }

    public required KernelMember Signal { get; init; }

    public required KernelMember ThreadHead { get; init; }

    public required KernelMember Pid { get; init; }

    public required KernelMember Tgid { get; init; }

    public required KernelMember State { get; init; }

    public required KernelMember ExitState { get; init; }

    public required KernelMember Vcpu { get; init; }

    public required KernelMember Comm { get; init; }

    /// <summary>Of a CPU's run queue; null where the kernel has it by another name.</summary>
    public required KernelMember? Current { get; init; }

    /// <summary>Up to the last member that is used.</summary>
    public int TaskBytes => new[] { Tasks, ThreadNode, Signal, Pid, Tgid, State, ExitState, Vcpu, Comm }.Max(m => m.End);

    /// <param name="fault">What this kernel does not have; empty when it has all.</param>
    public static TaskLayout? TryFind(KernelTypes types, out string fault)
    {
        MemberSearch search = new(types);
        TaskLayout layout = new()
        {
            Tasks = search.List("task_struct", "tasks"),
            ThreadNode = search.List("task_struct", "thread_node"),
            Signal = search.Number("task_struct", "signal"),
            ThreadHead = search.List("signal_struct", "thread_head"),
            Pid = search.Number("task_struct", "pid"),
            Tgid = search.Number("task_struct", "tgid"),
            // Until 5.13, and with thread_info apart from the task.
            State = search.Number("task_struct", "__state", "state"),
            ExitState = search.Number("task_struct", "exit_state"),
            Vcpu = search.Number("task_struct", "thread_info.cpu", "cpu"),
            Comm = search.Bytes("task_struct", "comm", CommBytes),
            Current = types.Find("rq", "curr"),
        };
        fault = search.Missing.Count == 0 ? "" : $"this kernel's tasks are laid out in a way that is not known: there is no {string.Join(", ", search.Missing)}";
        return search.Missing.Count == 0 ? layout : null;
    }
}
