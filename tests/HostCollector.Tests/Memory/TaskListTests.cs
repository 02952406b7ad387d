using System.Globalization;
using System.Text;
using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

public sealed class TaskListTests
{
    private static readonly KernelTypes Types = FakeTypes.Of(is612: true);

    private readonly FakeKernel _kernel = new();
    private readonly StringBuilder _symbols = new("+0 T _text\n+40 T _stext\n");

    [Fact]
    public void Tasks_are_listed_with_their_threads_and_who_ran()
    {
        ulong swapper = Task(0, 0, 0, 0, 0, "swapper/0");
        ulong idle = Task(0, 0, 0, 0, 1, "swapper/1");
        ulong init = Task(1, 1, 1, 0, 0, "init");
        ulong worker = Task(20, 20, 0x402, 0, 1, "kworker/1:0");
        ulong dead = Task(31, 31, 0, 0x20, 0, "gone");
        ulong leader = Task(40, 40, 0, 0, 0, "server");
        ulong thread = Task(41, 40, 2, 0, 1, "a\u001b[2Jb");
        Group(leader, thread);
        Ring(swapper, init, worker, dead, leader);
        Run(leader, idle);
        TaskList list = Read();
        Assert.True(list.IsComplete);
        StringWriter text = new() { NewLine = "\n" };
        list.Write(text);
        Assert.Equal(
            "CPU  PID  RUNNING\n  0   40  server\n  1    0  swapper/1\n\n"
            + "   PID  TGID  STATE  CPU  COMM\n     0     0  R        0  swapper/0\n     1     1  S        0  init\n    20    20  I        1  kworker/1:0\n"
            + "    31    31  Z        0  gone\n*   40    40  R        0  server\n    41    40  D        1  a\\x1b[2Jb\n",
            text.ToString());
    }

    [Fact]
    public void Lists_that_never_end_or_lead_nowhere_are_cut_off()
    {
        ulong swapper = Task(0, 0, 0, 0, 0, "swapper/0");
        ulong one = Task(1, 1, 1, 0, 0, "one");
        ulong two = Task(2, 2, 1, 0, 0, "two");
        Ring(swapper, one, two);
        // From two back to one, never to the first.
        _kernel.Write(two + 2192, one + 2192);
        TaskList list = Read();
        Assert.False(list.IsComplete);
        Assert.InRange(list.Tasks.Count, 1000, 1 << 16);
        Assert.Empty(list.Running);

        _kernel.Write(two + 2192, 0xdead_0000_0000_0000);
        list = Read();
        Assert.False(list.IsComplete);
        Assert.Equal([0, 1, 2], list.Tasks.Select(t => t.Pid));
        StringWriter text = new() { NewLine = "\n" };
        list.Write(text);
        Assert.EndsWith("-- the list goes on, but could not be read further --\n", text.ToString(), StringComparison.Ordinal);
    }

    private TaskList Read() => TaskList.TryRead(
        _kernel.Memory, Types, KernelAddresses.TryCreate(Encoding.ASCII.GetBytes(_symbols.ToString()), [], _kernel.Memory.Info, out _)!, out string fault) ?? throw new InvalidDataException(fault);

    private ulong Task(int pid, int tgid, uint state, uint exitState, int vcpu, string comm)
    {
        ulong task = _kernel.Allocate(9728);
        Set(task, "pid", (ulong)pid);
        Set(task, "tgid", (ulong)tgid);
        Set(task, "__state", state);
        Set(task, "exit_state", exitState);
        Set(task, "thread_info.cpu", (ulong)vcpu);
        Encoding.UTF8.GetBytes(comm, _kernel.At(task)[Types.OffsetOf("task_struct", "comm")!.Value..]);
        Set(task, "signal", _kernel.Allocate(1112));
        Group(task);
        return task;
    }

    private void Set(ulong task, string member, ulong value) => _kernel.Write(task, Types.Find("task_struct", member)!.Value, value);

    /// <summary>Threads of a process.</summary>
    private void Group(params ReadOnlySpan<ulong> threads)
    {
        ulong signal = _kernel.Read(threads[0] + 3072);
        ulong at = signal + 16;
        foreach (ulong thread in threads)
        {
            _kernel.Write(at, thread + 2608);
            at = thread + 2608;
        }
        _kernel.Write(at, signal + 16);
    }

    private void Ring(params ReadOnlySpan<ulong> leaders)
    {
        for (int i = 0; i < leaders.Length; i++)
        {
            _kernel.Write(leaders[i] + 2192, leaders[(i + 1) % leaders.Length] + 2192);
        }
        _symbols.Append(CultureInfo.InvariantCulture, $"+{leaders[0] - FakeKernel.Base:x} D init_task\n");
    }

    /// <summary>Run queues in areas of their own for each CPU, as per-CPU variables lie.</summary>
    private void Run(params ReadOnlySpan<ulong> current)
    {
        const ulong place = 0x440;
        ulong offsets = _kernel.Allocate(8 * current.Length);
        for (int i = 0; i < current.Length; i++)
        {
            ulong area = _kernel.Allocate(4096);
            _kernel.Write(offsets + 8 * (ulong)i, area);
            _kernel.Write(area + place + 2400, current[i]);
        }
        ulong count = _kernel.Allocate(8);
        _kernel.Write(count, (ulong)current.Length);
        _symbols.Append(CultureInfo.InvariantCulture, $"{place:x16} A runqueues\n+{offsets - FakeKernel.Base:x} D __per_cpu_offset\n+{count - FakeKernel.Base:x} D nr_cpu_ids\n");
    }
}
