using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// What the instance's files say now, and how they are brought to say something else: what is no longer wanted first, new events last. Where the kernel refuses
/// something, all of it is as before. Used by the main thread only.
/// </summary>
/// <param name="switchTracer">Empties the rings around the change that it is given.</param>
internal sealed class AppliedSetup(TraceInstance instance, DynamicDebug debug, Func<Func<string?>, string?> switchTracer)
{
    private readonly Tracefs _files = instance.Files;
    private readonly HashSet<string> _events = [.. instance.Configured.Events];
    private readonly Dictionary<string, string> _filters = [];
    private int _bufferKb = instance.Configured.BufferKb;
    private string _tracer = TraceSetup.NoTracer;
    private string _functions = "";
    private IReadOnlyList<string> _queries = instance.Configured.DynamicDebug;

    public TraceSetup Current { get; private set; } = instance.Configured;

    /// <returns>Null, or why it is still as it was.</returns>
    public string? Apply(TraceSetup wanted)
    {
        string? refusal = Write(wanted);
        if (refusal is null)
        {
            Current = wanted;
        }
        else if (Write(Current) is string worse)
        {
            AgentLog.Error($"what was recorded before cannot be restored: {worse}");
            refusal = $"{refusal}; and what was before cannot be restored: {worse}";
        }
        return refusal;
    }

    private string? Write(TraceSetup wanted)
    {
        foreach (string name in _events)
        {
            if (!wanted.Events.Contains(name))
            {
                // It fails when the event's module is gone, and the event with it.
                _files.TryWrite($"events/{name}/enable", "0");
                _events.Remove(name);
            }
        }
        foreach (string name in _filters.Keys)
        {
            if (!wanted.Filters.ContainsKey(name))
            {
                ClearFilter(name);
            }
        }
        foreach ((string name, string expression) in wanted.Filters)
        {
            if (_filters.GetValueOrDefault(name) != expression && WriteFilter(name, expression) is string refusal)
            {
                return refusal;
            }
        }
        return WriteBuffer(wanted.BufferKb) ?? WriteDebug(wanted.DynamicDebug) ?? WriteTracer(wanted) ?? Enable(wanted.Events);
    }

    private string? Enable(List<string> events)
    {
        foreach (string name in events)
        {
            if (!_events.Contains(name))
            {
                int result = _files.TryWrite($"events/{name}/enable", "1");
                if (result < 0)
                {
                    return $"{name} cannot be switched on: {Errno.Describe(-result)}";
                }
                _events.Add(name);
            }
        }
        return null;
    }

    private string? WriteFilter(string name, string expression)
    {
        string file = $"events/{name}/filter";
        int result = _files.TryWrite(file, expression);
        if (result >= 0)
        {
            _filters[name] = expression;
            return null;
        }
        // The refused expression has replaced the former one, and stands there with the reason below it: the event would be recorded unfiltered (apply_event_filter).
        string[] reason = _files.Has(file) ? _files.Read(file).Split('\n') : [""];
        ClearFilter(name);
        return $"the kernel refuses the filter of {name}: {(reason.Length > 1 ? reason[^1] : Errno.Describe(-result))}";
    }

    private void ClearFilter(string name)
    {
        _files.TryWrite($"events/{name}/filter", "0");
        _filters.Remove(name);
    }

    // Generation and counters stay: a ring that grows keeps its events, and what is removed from one that shrinks becomes overrun (rb_remove_pages).
    private string? WriteBuffer(int kb)
    {
        if (kb == _bufferKb)
        {
            return null;
        }
        int result = instance.TryResize(kb);
        if (result < 0)
        {
            return $"a ring of {kb} KiB per vCPU cannot be made: {Errno.Describe(-result)}";
        }
        _bufferKb = kb;
        return null;
    }

    private string? WriteDebug(IReadOnlyList<string> queries)
    {
        if (ReferenceEquals(queries, _queries))
        {
            return null;
        }
        debug.Restore();
        _queries = instance.Configured.DynamicDebug;
        string? refusal = queries.Count > 0 ? debug.Apply(queries) : null;
        if (refusal is null)
        {
            _queries = queries;
        }
        return refusal;
    }

    private string? WriteTracer(TraceSetup wanted)
    {
        if (wanted.Tracer == _tracer && wanted.Functions == _functions)
        {
            return null;
        }
        return switchTracer(() =>
        {
            // Functions can only be exchanged under no tracer without a moment in which all are traced.
            (_tracer, _functions) = (TraceSetup.NoTracer, "");
            _files.TryWrite("current_tracer", TraceSetup.NoTracer);
            int result = _files.TryWrite("set_ftrace_filter", $"{wanted.Functions}\n");
            if (result >= 0 && wanted.Tracer != TraceSetup.NoTracer)
            {
                result = _files.TryWrite("current_tracer", wanted.Tracer);
            }
            if (result < 0)
            {
                _files.TryWrite("set_ftrace_filter", "\n");
                return $"the kernel does not trace {wanted.Functions} with {wanted.Tracer}: {Errno.Describe(-result)}";
            }
            (_tracer, _functions) = (wanted.Tracer, wanted.Functions);
            return null;
        });
    }
}
