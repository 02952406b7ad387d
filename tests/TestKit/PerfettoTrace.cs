using System.Text.Json.Nodes;

namespace VsockPair.TestKit;

/// <summary>One ftrace event of a Perfetto trace.</summary>
/// <param name="Message">Its own message, or the generic one.</param>
public sealed record PerfettoEvent(ulong Time, int Pid, string Name, ProtoMessage Message);

/// <summary>One instant event: its track's name, its own, and its category.</summary>
public sealed record PerfettoInstant(ulong Time, string Track, string Category, string Name);

/// <summary>
/// A Perfetto trace as its own descriptions (<c>protos/perfetto/trace</c> of google/perfetto) number its fields: read to be compared with what was meant to be written.
/// </summary>
public sealed class PerfettoTrace
{
    private const int Generic = 327;

    private static readonly Dictionary<int, string> Names = new()
    {
        [3] = "print", [4] = "sched_switch", [11] = "cpu_frequency", [13] = "cpu_idle", [17] = "sched_wakeup", [20] = "sched_waking", [24] = "softirq_entry",
        [25] = "softirq_exit", [26] = "softirq_raise", [36] = "irq_handler_entry", [37] = "irq_handler_exit", [57] = "workqueue_execute_end",
        [58] = "workqueue_execute_start", [114] = "sched_wakeup_new", [235] = "task_newtask", [236] = "task_rename", [237] = "sched_process_exec",
        [238] = "sched_process_exit", [239] = "sched_process_fork", [240] = "sched_process_free", [241] = "sched_process_hang", [242] = "sched_process_wait",
        [324] = "signal_deliver", [325] = "signal_generate", [326] = "oom_score_adj_update", [329] = "sys_enter", [330] = "sys_exit", [334] = "mark_victim",
        [437] = "funcgraph_entry", [438] = "funcgraph_exit",
    };

    public PerfettoTrace(byte[] file)
    {
        Dictionary<ulong, string> tracks = [];
        bool begun = false;
        foreach (ProtoMessage packet in ProtoMessage.Parse(file).Messages(1))
        {
            Machines.Add(packet.Number(98));
            // The first packet clears the sequence's state, the others build on it.
            if (packet.Number(10) == 0 || packet.Number(13) != (begun ? 2u : 1u))
            {
                throw new InvalidDataException($"sequence {packet.Number(10)}, flags {packet.Number(13)}");
            }
            begun = true;
            foreach (ProtoMessage symbol in packet.Has(12) ? packet.Message(12).Messages(26) : [])
            {
                Symbols.Add(symbol.Number(1), symbol.Text(2));
            }
            if (packet.Has(60))
            {
                tracks.Add(packet.Message(60).Number(1), packet.Message(60).Text(2));
            }
            if (packet.Has(11))
            {
                ProtoMessage instant = packet.Message(11);
                if (instant.Number(9) != 3 || packet.Number(58) != 6)
                {
                    throw new InvalidDataException("a track event that is no instant of the boot clock");
                }
                Instants.Add(new PerfettoInstant(packet.Number(8), tracks[instant.Number(11)], instant.Text(22), instant.Text(23)));
            }
            if (packet.Has(6))
            {
                Clocks.Add(packet.Message(6).Messages(1).ToDictionary(c => c.Number(1), c => c.Number(2)));
            }
            foreach (ProtoMessage record in packet.Has(39) ? packet.Message(39).Messages(1) : [])
            {
                Log.Add((record.Number(5), record.Number(1), record.Number(7), record.Text(8)));
            }
            if (packet.Has(34))
            {
                Stats[packet.Message(34).Number(1)] = [.. packet.Message(34).Messages(2)];
            }
            if (packet.Has(45))
            {
                System = packet.Message(45);
            }
            foreach (ProtoMessage process in packet.Has(2) ? packet.Message(2).Messages(1) : [])
            {
                Processes.Add((int)process.Number(1), process.Has(3) ? process.Text(3) : "");
            }
            foreach (ProtoMessage thread in packet.Has(2) ? packet.Message(2).Messages(2) : [])
            {
                Threads.Add((int)thread.Number(1), ((int)thread.Number(3), thread.Has(2) ? thread.Text(2) : ""));
            }
            if (packet.Has(1))
            {
                AddBundle(packet.Message(1));
            }
        }
    }

    public HashSet<ulong> Machines { get; } = [];

    /// <summary>Events per CPU, in the order of the file.</summary>
    public SortedDictionary<int, List<PerfettoEvent>> Events { get; } = [];

    /// <summary>CPU and index of the event before which some are lost.</summary>
    public List<(int Cpu, int Index)> Losses { get; } = [];

    public Dictionary<ulong, string> Symbols { get; } = [];

    public List<PerfettoInstant> Instants { get; } = [];

    /// <summary>Records of the kernel log: real time, id of the log, Android's priority, text.</summary>
    public List<(ulong Time, ulong Log, ulong Priority, string Text)> Log { get; } = [];

    /// <summary>Phase → counters of each CPU.</summary>
    public Dictionary<ulong, ProtoMessage[]> Stats { get; } = [];

    /// <summary>Clock id → time, for each snapshot.</summary>
    public List<Dictionary<ulong, ulong>> Clocks { get; } = [];

    public ProtoMessage? System { get; private set; }

    /// <summary>Their names, empty where there is none.</summary>
    public Dictionary<int, string> Processes { get; } = [];

    /// <summary>Process and name of each, the name empty where there is none.</summary>
    public Dictionary<int, (int Process, string Name)> Threads { get; } = [];

    /// <summary>Compares with an export as .ndjson: per CPU the same events in the same order, and losses in the same places.</summary>
    /// <returns>Null when they are the same.</returns>
    public string? DifferenceTo(IEnumerable<string> ndjson)
    {
        Dictionary<int, int> at = Events.Keys.ToDictionary(cpu => cpu, _ => 0);
        List<(int, int)> losses = [];
        // The first line tells of the whole.
        foreach (string line in ndjson.Skip(1))
        {
            JsonNode one = JsonNode.Parse(line)!;
            int cpu = one["cpu"]!.GetValue<int>();
            if (one["lost"] is not null || one["event"] is null)
            {
                losses.Add((cpu, at[cpu]));
                continue;
            }
            PerfettoEvent found = Events[cpu][at[cpu]++];
            if ((one["guest_time"]!.GetValue<ulong>(), one["pid"]!.GetValue<int>(), one["event"]!.GetValue<string>()) != (found.Time, found.Pid, found.Name == "print" && one["event"]!.GetValue<string>() == "bprint" ? "bprint" : found.Name)
                || !HasFields(one["fields"]!.AsObject(), found) || (one["text"] is JsonNode text && text.GetValue<string>() != found.Message.Text(2)))
            {
                return $"{line} is {found}";
            }
        }
        return Events.Any(cpu => cpu.Value.Count != at[cpu.Key]) ? "there are more events"
            : !losses.Order().SequenceEqual(Losses.Order()) ? "losses lie elsewhere"
            : null;
    }

    /// <summary>Of a few events that show each kind of field: numbers, text, symbols.</summary>
    private bool HasFields(JsonObject fields, PerfettoEvent found) => found.Name switch
    {
        "sched_switch" => fields["prev_comm"]!.GetValue<string>() == found.Message.Text(1) && fields["prev_pid"]!.GetValue<int>() == (int)found.Message.Number(2)
            && fields["prev_state"]!.GetValue<long>() == (long)found.Message.Number(4) && fields["next_comm"]!.GetValue<string>() == found.Message.Text(5)
            && fields["next_prio"]!.GetValue<int>() == (int)found.Message.Number(7),
        "sys_enter" => fields["id"]!.GetValue<long>() == (long)found.Message.Number(1),
        "sys_exit" => fields["ret"]!.GetValue<long>() == (long)found.Message.Number(2),
        "print" when fields["fmt"] is null => fields["buf"]!.GetValue<string>() == found.Message.Text(2),
        "funcgraph_entry" => IsSymbol(fields["func"]!, found.Message.Number(2), Symbols.ContainsKey(found.Message.Number(2))),
        "function" => found.Message.Messages(2).Any(f => f.Text(1) == "ip" && IsSymbol(fields["ip"]!, f.Has(5) ? f.Number(5) : 0, f.Has(3))),
        _ => true,
    };

    /// <summary>An address in the kernel has a name; any other number, as hostile guests write, is what it was.</summary>
    private static bool IsSymbol(JsonNode address, ulong written, bool named) => named || ((long)address.GetValue<ulong>() >= 0 && written == address.GetValue<ulong>());

    private void AddBundle(ProtoMessage bundle)
    {
        int cpu = (int)bundle.Number(1);
        List<PerfettoEvent> events = Events.TryGetValue(cpu, out List<PerfettoEvent>? known) ? known : Events[cpu] = [];
        if (bundle.Has(3) && bundle.Number(3) == 1)
        {
            Losses.Add((cpu, events.Count));
        }
        foreach (ProtoMessage one in bundle.Messages(2))
        {
            int field = one.Fields.Single(f => f is not (1 or 2));
            ProtoMessage message = one.Message(field);
            events.Add(new PerfettoEvent(one.Number(1), (int)one.Number(2), field == Generic ? message.Text(1) : Names[field], message));
        }
    }
}
