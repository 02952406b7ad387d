using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using VsockPair.Configuration;
using VsockPair.Protocol;
using VsockPair.Status;
using VsockPair.Tracing;

namespace VsockPair.Commands;

/// <summary>Options of <c>vsockpair trace</c>, and what they ask for.</summary>
internal sealed class TraceCommandLine
{
    private const string Show = "show";
    private const string Set = "set";
    private const string Off = "off";

    private readonly Argument<string> _verb = new("VERB")
    {
        Description = $"{Show} what is recorded, {Set} what is recorded besides what the guest's agent is configured to, {Off}: only that again",
        HelpName = $"{Show}|{Set}|{Off}",
    };

    private readonly Option<string[]> _events = new("--event", "-e") { Description = "Record this as well; may be repeated; * and ? allowed", HelpName = "SYSTEM[:EVENT]" };

    private readonly Option<string[]> _filters = new("--filter")
    {
        Description = "Of one event only what the kernel's filter expression says; the event may be left out where there is but one -e", HelpName = "[SYSTEM:EVENT ]EXPRESSION",
    };

    private readonly Option<string?> _tracer = new("--tracer") { Description = "Also trace functions; only where the agent's configuration allows it", HelpName = "function|function_graph" };

    private readonly Option<string[]> _functions = new("--function") { Description = "A function for the tracer; may be repeated; * and ? allowed", HelpName = "PATTERN" };

    private readonly Option<int> _bufferKb = new("--buffer-kb") { Description = "Trace ring per vCPU in KiB", HelpName = "N", CustomParser = ParseKb };

    private readonly Option<string[]> _debug = new("--dynamic-debug")
    {
        Description = "Switch debug messages of the guest's kernel on; may be repeated; only where the agent's configuration allows it", HelpName = "'module kvm +p'",
    };

    private readonly Option<string?> _for = new("--for") { Description = "Restore what is configured after this time", HelpName = "30s|10m|2h" };

    public void AddTo(Command command)
    {
        command.Add(_verb);
        foreach (Option option in (Option[])[_events, _filters, _tracer, _functions, _bufferKb, _debug, _for])
        {
            command.Add(option);
        }
    }

    /// <exception cref="CommandFailure">Something is missing, superfluous, or no name.</exception>
    public TraceControlRequest RequestOf(ParseResult parsed, string guest)
    {
        string verb = parsed.GetRequiredValue(_verb);
        string[] events = parsed.GetValue(_events) ?? [];
        TraceSettings settings = new()
        {
            Events = events,
            Filters = [.. (parsed.GetValue(_filters) ?? []).Select(f => Complete(f, events))],
            Tracer = parsed.GetValue(_tracer) ?? "",
            Functions = parsed.GetValue(_functions) ?? [],
            BufferKb = parsed.GetValue(_bufferKb),
            DynamicDebug = parsed.GetValue(_debug) ?? [],
        };
        int seconds = SecondsOf(parsed.GetValue(_for));
        bool saysSomething = events.Length > 0 || settings.Filters.Count > 0 || settings.Tracer.Length > 0 || settings.Functions.Count > 0
            || settings.BufferKb != 0 || settings.DynamicDebug.Count > 0;
        string? fault = verb switch
        {
            Set when !saysSomething => $"{Set} needs something to record: -e, --filter, --tracer, --buffer-kb or --dynamic-debug",
            Set => FaultOfCounts(settings) ?? TraceNames.FaultOf(settings, seconds),
            Show or Off => saysSomething || seconds > 0 ? $"{verb} takes none of the options of {Set}" : null,
            _ => $"\"{verb}\" is no verb of trace: write {Show}, {Set} or {Off}",
        };
        return fault is not null
            ? throw Misused(fault)
            : new TraceControlRequest
            {
                Command = TraceControlRequest.Name,
                Guest = guest,
                Verb = verb,
                Events = settings.Events,
                Filters = settings.Filters,
                Tracer = settings.Tracer,
                Functions = settings.Functions,
                BufferKb = settings.BufferKb,
                DynamicDebug = settings.DynamicDebug,
                Seconds = seconds,
            };
    }

    private static string? FaultOfCounts(TraceSettings settings) =>
        new[] { settings.Events, settings.Filters, settings.Functions, settings.DynamicDebug }.Any(list => list.Count > Wire.MaxTraceItems)
            ? $"at most {Wire.MaxTraceItems} of each option at once; name events and functions with * and ?"
            : null;

    /// <summary>A filter belongs to one event, and says so unless there is but one.</summary>
    private static string Complete(string filter, string[] events) =>
        TraceNames.TrySplitFilter(filter, out _, out _) || events.Length != 1 || !TraceNames.TrySplitFilter(events[0] + " ", out _, out _)
            ? filter
            : $"{events[0]} {filter}";

    private static int ParseKb(ArgumentResult result)
    {
        if (!int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int kb))
        {
            result.AddError($"--buffer-kb: \"{result.Tokens[0].Value}\" is no number of KiB per vCPU; write one from {Wire.MinTraceBufferKb} to {Wire.MaxTraceBufferKb}");
        }
        return kb;
    }

    private static int SecondsOf(string? text)
    {
        if (text is null)
        {
            return 0;
        }
        return Quantity.TryParseTime(text, out TimeSpan time) && time >= TimeSpan.FromSeconds(1) && time <= TimeSpan.FromSeconds(Wire.MaxTraceSeconds)
            ? (int)time.TotalSeconds
            : throw Misused($"--for: \"{text}\" is no time from 1s to 1d; write e.g. 30s, 10m or 2h");
    }

    private static CommandFailure Misused(string fault) => new(ExitCode.Usage, Text.TerminalText.Escape(fault));
}
