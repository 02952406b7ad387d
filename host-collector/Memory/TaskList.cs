using System.Buffers.Binary;
using System.Globalization;
using VsockPair.Text;

namespace VsockPair.Memory;

/// <summary>The tasks in a guest's memory, and which of them ran when it stopped. Its lists are the guest's: each walk has an end.</summary>
internal sealed class TaskList
{
    private const int MostTasks = 1 << 16;
    private const int MostVcpus = 4096;

    private readonly KernelMemory _memory;
    private readonly TaskLayout _layout;
    private readonly List<KernelTask> _tasks = [];
    private readonly SortedDictionary<int, KernelTask> _running = [];

    private TaskList(KernelMemory memory, TaskLayout layout)
    {
        _memory = memory;
        _layout = layout;
    }

    /// <summary>In the kernel's order, threads after the leader of their group; idle tasks of the CPUs are only in <see cref="Running"/>.</summary>
    public IReadOnlyList<KernelTask> Tasks => _tasks;

    /// <summary>By CPU. Empty when the kernel's run queues cannot be found.</summary>
    public IReadOnlyDictionary<int, KernelTask> Running => _running;

    /// <summary>Whether all tasks could be read.</summary>
    public bool IsComplete { get; private set; } = true;

    /// <param name="fault">Why there are none; empty when there are.</param>
    public static TaskList? TryRead(KernelMemory memory, KernelTypes types, KernelAddresses addresses, out string fault)
    {
        if (TaskLayout.TryFind(types, out fault) is not TaskLayout layout)
        {
            return null;
        }
        if (addresses.Find("init_task") is not ulong first)
        {
            fault = "the kernel's symbols have no init_task";
            return null;
        }
        TaskList list = new(memory, layout);
        list.FindRunning(addresses);
        list.FindAll(first);
        if (list._tasks.Count == 0)
        {
            fault = "the kernel's tasks cannot be read from this memory";
            return null;
        }
        return list;
    }

    /// <summary>As <c>tasks.txt</c> of a case has it.</summary>
    public void Write(TextWriter target)
    {
        if (_running.Count > 0)
        {
            Table running = new Table("CPU", "PID", "RUNNING").AlignRight(0, 1);
            foreach ((int vcpu, KernelTask task) in _running)
            {
                running.Add(Text(vcpu), Text(task.Pid), TerminalText.Escape(task.Comm.Span));
            }
            running.Write(target);
            target.WriteLine();
        }
        HashSet<ulong> onCpu = [.. _running.Values.Select(t => t.Address)];
        Table all = new Table("", "PID", "TGID", "STATE", "CPU", "COMM").AlignRight(1, 2, 4);
        foreach (KernelTask task in _tasks)
        {
            all.Add(onCpu.Contains(task.Address) ? "*" : "", Text(task.Pid), Text(task.Tgid), task.State.ToString(), Text(task.Vcpu), TerminalText.Escape(task.Comm.Span));
        }
        all.Write(target);
        if (!IsComplete)
        {
            target.WriteLine("-- the list goes on, but could not be read further --");
        }
    }

    private void FindRunning(KernelAddresses addresses)
    {
        if (_layout.Current is not { Size: sizeof(ulong) } current || addresses.Find("runqueues") is not ulong queue || addresses.Find("__per_cpu_offset") is not ulong offsets
            || addresses.Find("nr_cpu_ids") is not ulong count || !_memory.TryReadU32(count, out uint vcpus))
        {
            return;
        }
        for (int i = 0; i < (int)Math.Min(vcpus, MostVcpus); i++)
        {
            // The queues of CPUs that cannot be there have no memory of their own.
            if (_memory.TryReadU64(offsets + (ulong)i * sizeof(ulong), out ulong offset) && _memory.TryReadU64(queue + offset + (ulong)current.Offset, out ulong task)
                && Read(task) is (KernelTask running, _))
            {
                _running[i] = running;
            }
        }
    }

    private void FindAll(ulong first)
    {
        ulong leader = first;
        do
        {
            if (Read(leader) is not (KernelTask task, byte[] bytes))
            {
                IsComplete = false;
                return;
            }
            FindThreads(task, bytes);
            leader = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(_layout.Tasks.Offset)) - (ulong)_layout.Tasks.Offset;
            if (_tasks.Count >= MostTasks)
            {
                IsComplete = false;
                return;
            }
        }
        while (leader != first);
    }

    private void FindThreads(KernelTask leader, byte[] bytes)
    {
        _tasks.Add(leader);
        ulong head = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(_layout.Signal.Offset)) + (ulong)_layout.ThreadHead.Offset;
        ulong at = head;
        while (_tasks.Count < MostTasks)
        {
            if (!_memory.TryReadU64(at, out ulong next))
            {
                IsComplete = false;
                return;
            }
            if (next == head)
            {
                return;
            }
            ulong thread = next - (ulong)_layout.ThreadNode.Offset;
            if (thread != leader.Address)
            {
                if (Read(thread) is not (KernelTask task, _))
                {
                    IsComplete = false;
                    return;
                }
                _tasks.Add(task);
            }
            else if (at == next)
            {
                IsComplete = false;
                return;
            }
            at = next;
        }
    }

    private (KernelTask Task, byte[] Bytes)? Read(ulong address)
    {
        byte[] bytes = new byte[_layout.TaskBytes];
        if (!_memory.TryRead(address, bytes))
        {
            return null;
        }
        ReadOnlySpan<byte> comm = bytes.AsSpan(_layout.Comm.Offset, _layout.Comm.Size);
        int end = comm.IndexOf((byte)0);
        return (
            new KernelTask(
                address, (int)_layout.Pid.In(bytes), (int)_layout.Tgid.In(bytes), (int)_layout.Vcpu.In(bytes),
                StateOf((uint)_layout.State.In(bytes), (uint)_layout.ExitState.In(bytes)), comm[..(end < 0 ? comm.Length : end)].ToArray()),
            bytes);
    }

    /// <summary>The letters of <c>ps</c> (<c>include/linux/sched.h</c>, <c>task_state_index</c>).</summary>
    private static char StateOf(uint state, uint exitState)
    {
        const uint noLoad = 0x400;
        const uint uninterruptible = 2;
        const string letters = "SDTtXZP";
        uint shown = (state | exitState) & 0x7F;
        return (state & (noLoad | uninterruptible)) == (noLoad | uninterruptible) ? 'I'
            : shown == 0 ? 'R'
            : letters[31 - System.Numerics.BitOperations.LeadingZeroCount(shown)];
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}

/// <param name="Comm">Of the guest's choice.</param>
/// <param name="Vcpu">That it runs on, or ran on last.</param>
/// <param name="State">As <c>ps</c> shows it.</param>
internal sealed record KernelTask(ulong Address, int Pid, int Tgid, int Vcpu, char State, ReadOnlyMemory<byte> Comm);
