using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Configuration;

/// <summary>Everything that can be set, with its default.</summary>
internal sealed class AgentOptions
{
    public const string DefaultFile = "/etc/vsockpair/agent.conf";

    /// <summary><c>[Collector] Address=</c>, <c>--host</c>.</summary>
    public VsockAddress Host { get; set; } = new(Constants.VMADDR_CID_HOST, Wire.Port);

    /// <summary><c>[Trace] Events=</c>, <c>--event</c>: SYSTEM or SYSTEM:EVENT, with * and ?.</summary>
    public IReadOnlyList<string> Events { get; set; } =
        ["sched:sched_switch", "sched:sched_process_*", "signal:signal_generate", "oom", "block:block_rq_error"];

    /// <summary><c>[Trace] BufferKb=</c>, <c>--buffer-kb</c>: ring per vCPU. Null: 1 MiB, and all rings together at most 1 % of the guest's RAM.</summary>
    public int? BufferKb { get; set; }

    /// <summary><c>[Trace] Flush=</c>, <c>--flush</c>: how long the events of a quiet vCPU may wait in its ring.</summary>
    public TimeSpan Flush { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary><c>[Control] AllowTrace=</c>: operators of the host may change what is recorded (<c>vsockpair trace</c>).</summary>
    public bool AllowTrace { get; set; } = true;

    /// <summary><c>[Control] AllowTracers=</c>: also switch on the tracers function and function_graph, which can slow a guest down to a crawl.</summary>
    public bool AllowTracers { get; set; }

    /// <summary><c>[Control] AllowDynamicDebug=</c>: also switch on debug messages of the guest's kernel, for all who read its log.</summary>
    public bool AllowDynamicDebug { get; set; }

    /// <summary><c>[PersistentRing] Events=</c>, as <see cref="Events"/>: what the trace ring that survives a reboot records, where the guest has one. Nothing when empty.</summary>
    public IReadOnlyList<string> PersistentEvents { get; set; } = ["sched:sched_switch"];

    /// <summary><c>[Pstore] RemoveAcknowledged=</c>: unlink a crash record once the collector has it on its disk.</summary>
    public bool RemoveAcknowledged { get; set; }
}
