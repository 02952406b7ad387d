using VsockPair.GuestAgent.Configuration;
using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>What a session does for <see cref="TraceControl"/>.</summary>
internal interface ITraceSession
{
    /// <summary>The rings' streams belong to it: what they hold can be sent before they are emptied.</summary>
    bool IsStreaming { get; }

    void Answer(in TraceAnswer answer);

    /// <summary>Offers the formats of these events.</summary>
    void OfferFormats(List<string> events);

    /// <summary>Makes a change that empties the rings, with everything sent before and the streams opened anew after it.</summary>
    /// <returns>Null, or why it was not made.</returns>
    string? RemakeRings(Func<string?> change);
}

/// <summary>
/// Operators of the host change what is recorded, for a time (PROTOCOL.md §11). Events are switched on once the collector has their formats; the configuration comes back
/// when the time is over, or the collector is gone for longer than a restart takes. Used by the main thread only.
/// </summary>
internal sealed class TraceControl
{
    private const int MostNewEvents = 512;

    // All rings together, as a share of RAM: more than the agent takes by itself, and nothing that the guest's own work would have to miss.
    private const int RamShare = 8;

    private const int AnswerTextBytes = 12288;
    private const int Never = int.MaxValue;

    private readonly TraceInstance _instance;
    private readonly AgentOptions _options;
    private readonly Timings _timings;
    private readonly GuestPaths _paths;
    private readonly AppliedSetup _applied;
    private readonly HashSet<string> _stored = [];
    private readonly HashSet<string> _awaited = [];
    private ITraceSession? _session;
    private TraceRequest? _pending;
    private TraceSetup _pendingSetup;
    private Recurring? _pendingLimit;
    private Recurring? _end;
    private Recurring? _orphanEnd;
    private long? _since;

    public TraceControl(TraceInstance instance, TraceRecorder recorder, AgentOptions options, Timings timings, StopRequest stop, GuestPaths paths)
    {
        _instance = instance;
        _options = options;
        _timings = timings;
        _paths = paths;
        _applied = new AppliedSetup(instance, new DynamicDebug(paths), change => _session is null ? recorder.Remake(change, resume: !stop.IsRequested) : _session.RemakeRings(change));
        _pendingSetup = instance.Configured;
    }

    /// <summary>Events that are recorded beside the configured ones.</summary>
    public List<string> RequestedEvents => Beyond(_applied.Current.Events, _instance.Configured.Events);

    /// <summary>Until <see cref="Step"/> has something to do.</summary>
    public int MillisecondsLeft => Math.Min(_pendingLimit?.MillisecondsLeft ?? Never, IsReady ? _end?.MillisecondsLeft ?? Never : Never);

    private bool IsReady => _session?.IsStreaming ?? true;

    public void Begin(ITraceSession session)
    {
        _session = session;
        _orphanEnd = null;
        _stored.Clear();
    }

    public void End()
    {
        _session = null;
        Forget();
        _orphanEnd = _since is null ? null : new Recurring(_timings.Orphaned);
    }

    public void Take(in TraceRequest request)
    {
        if (request.Verb == TraceVerb.Show)
        {
            Answer(request.Id, "");
            return;
        }
        TraceSetup setup = _instance.Configured;
        string? refusal = !_options.AllowTrace ? "the agent's configuration does not let the host change what is recorded ([Control] AllowTrace=no)"
            : _pending is not null ? "another request is being worked on"
            : request.Verb == TraceVerb.Off ? null
            : TryResolve(request, out setup);
        if (refusal is not null)
        {
            Refuse(request.Id, refusal);
            return;
        }
        _pending = request;
        _pendingSetup = setup;
        _pendingLimit = new Recurring(_timings.Formats);
        List<string> unknown = Beyond(setup.Events, _applied.Current.Events).FindAll(e => !_stored.Contains(FormatOf(e)));
        foreach (string name in unknown)
        {
            _awaited.Add(FormatOf(name));
        }
        _session!.OfferFormats(unknown);
    }

    /// <summary>The collector has this metadata file.</summary>
    public void Acknowledged(string name)
    {
        if (_awaited.Remove(name))
        {
            _stored.Add(name);
        }
    }

    public void Step()
    {
        if (_pending is TraceRequest request)
        {
            if (_awaited.Count == 0 && IsReady)
            {
                Forget();
                Obey(request, _pendingSetup);
            }
            else if (_pendingLimit!.IsDue())
            {
                string refusal = _awaited.Count > 0 ? $"the collector has not stored the formats of {_awaited.Count} events" : "the streams of this session have not begun";
                Forget();
                Refuse(request.Id, refusal);
            }
        }
        if (!IsReady)
        {
            return;
        }
        if (_end?.IsDue() == true)
        {
            Restore("its time is over");
        }
        else if (_orphanEnd?.IsDue() == true)
        {
            Restore("the collector is gone");
        }
    }

    /// <summary>The agent stops. Recording is off already.</summary>
    public void RestoreAtStop()
    {
        _session = null;
        if (_since is not null)
        {
            Restore("the agent stops");
        }
    }

    private static string FormatOf(string name) => $"events/{name}/format";

    private static List<string> Beyond(List<string> events, List<string> known) => events.FindAll(e => !known.Contains(e));

    private void Forget()
    {
        _pending = null;
        _pendingLimit = null;
        _awaited.Clear();
    }

    private void Obey(in TraceRequest request, TraceSetup setup)
    {
        if (_applied.Apply(setup) is string refusal)
        {
            Refuse(request.Id, refusal);
            return;
        }
        bool isSet = request.Verb == TraceVerb.Set;
        _since = isSet ? Environment.TickCount64 : null;
        _end = isSet && request.Seconds > 0 ? new Recurring(TimeSpan.FromSeconds(request.Seconds)) : null;
        AgentLog.Info(isSet
            ? $"the host has changed what is recorded{(request.Seconds > 0 ? $" for {request.Seconds} s" : "")}: {Describe(setup)}"
            : "the host has restored what is recorded");
        Answer(request.Id, "");
    }

    private void Restore(string reason)
    {
        if (_applied.Apply(_instance.Configured) is string fault)
        {
            AgentLog.Warning($"the configuration cannot be restored ({reason}): {fault}; retrying");
            _end = new Recurring(_timings.Orphaned);
            _orphanEnd = null;
            return;
        }
        AgentLog.Info($"what is recorded is restored: {reason}");
        _since = null;
        _end = null;
        _orphanEnd = null;
    }

    private void Refuse(uint id, string refusal)
    {
        AgentLog.Warning($"a request of the host to change what is recorded is refused: {refusal}");
        Answer(id, refusal);
    }

    private string? TryResolve(in TraceRequest request, out TraceSetup setup)
    {
        TraceSettings settings = request.Settings;
        TraceSetup configured = _instance.Configured;
        setup = configured;
        if (TraceNames.FaultOf(settings, request.Seconds) is string fault)
        {
            return fault;
        }
        if (settings.Tracer.Length > 0)
        {
            if (!_options.AllowTracers)
            {
                return "the agent's configuration does not let the host switch on tracers ([Control] AllowTracers=no)";
            }
            if (!Array.Exists(_instance.Files.Read("available_tracers").Split(' '), t => t == settings.Tracer))
            {
                return $"this kernel has no tracer {settings.Tracer} for an instance";
            }
        }
        if (settings.DynamicDebug.Count > 0 && !_options.AllowDynamicDebug)
        {
            return "the agent's configuration does not let the host use dynamic_debug ([Control] AllowDynamicDebug=no)";
        }
        List<string> missing = [];
        List<string> found = EventSelection.Resolve(_instance.Files.Path("events"), settings.Events, missing);
        if (missing.Count > 0)
        {
            return $"this kernel has no event {missing[0]}";
        }
        List<string> added = Beyond(found, configured.Events);
        if (added.Count > MostNewEvents)
        {
            // Two for each system call.
            string instead = added.Exists(e => e.StartsWith("syscalls/", StringComparison.Ordinal)) ? "; raw_syscalls tells of every system call with two" : "";
            return $"these are {added.Count} events, and at most {MostNewEvents} are switched on at once{instead}";
        }
        List<string> events = new(configured.Events);
        events.AddRange(added);
        Dictionary<string, string> filters = [];
        foreach (string filter in settings.Filters)
        {
            TraceNames.TrySplitFilter(filter, out string name, out string expression);
            string path = name.Replace(':', '/');
            if (!events.Contains(path) || !filters.TryAdd(path, expression))
            {
                return $"the filter of {name} is one too many, or that event is not recorded";
            }
        }
        int kb = settings.BufferKb == 0 ? configured.BufferKb : settings.BufferKb;
        if (kb != configured.BufferKb)
        {
            int leastKb = RingSize.FewestSubBuffers * _instance.SubBufferBytes / 1024;
            long mostKb = MemInfo.ReadTotalKb(_paths) / RamShare / CpuList.CountOnline(_paths);
            if (kb < leastKb || kb > mostKb)
            {
                return $"a ring of this guest may have {leastKb} to {mostKb} KiB per vCPU";
            }
        }
        setup = new TraceSetup
        {
            Events = events,
            Filters = filters,
            Tracer = settings.Tracer.Length > 0 ? settings.Tracer : TraceSetup.NoTracer,
            Functions = string.Join(' ', settings.Functions),
            BufferKb = kb,
            DynamicDebug = settings.DynamicDebug.Count > 0 ? settings.DynamicDebug : configured.DynamicDebug,
        };
        return null;
    }

    private static string Describe(TraceSetup setup) =>
        $"{setup.Events.Count} events, {setup.Filters.Count} filters, tracer {setup.Tracer} {setup.Functions}, {setup.BufferKb} KiB per vCPU, {setup.DynamicDebug.Count} lines of dynamic_debug";

    private void Answer(uint id, string refusal)
    {
        TraceSetup setup = _applied.Current;
        List<string> events = [];
        int bytes = 0;
        foreach (string name in setup.Events)
        {
            bytes += name.Length;
            if (bytes > AnswerTextBytes || events.Count == Wire.MaxTraceEvents)
            {
                break;
            }
            events.Add(name.Replace('/', ':'));
        }
        List<string> filters = [];
        foreach ((string name, string expression) in setup.Filters)
        {
            filters.Add($"{name.Replace('/', ':')} {expression}");
        }
        bool isTracing = setup.Tracer != TraceSetup.NoTracer;
        TraceSettings settings = new()
        {
            Events = events,
            Filters = filters,
            Tracer = isTracing ? setup.Tracer : "",
            Functions = isTracing ? setup.Functions.Split(' ') : [],
            BufferKb = setup.BufferKb,
            DynamicDebug = setup.DynamicDebug,
        };
        _session!.Answer(new TraceAnswer(id, refusal, settings, setup.Events.Count, Environment.TickCount64 - _since, _end?.MillisecondsLeft));
    }
}
