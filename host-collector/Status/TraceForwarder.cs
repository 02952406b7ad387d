using System.Text.Json;
using Microsoft.Extensions.Logging;
using VsockPair.Protocol;
using VsockPair.Sessions;
using VsockPair.Text;
using VsockPair.Tracing;

namespace VsockPair.Status;

/// <summary><c>{"command":"trace",…}</c>: an operator's request goes to the guest's agent, and the agent's answer back. Who may open the socket may do this.</summary>
internal sealed class TraceForwarder(SessionRegistry registry, SessionTimes times, TimeProvider time, ILogger<TraceForwarder> log) : IControlAnswer
{
    public string Command => TraceControlRequest.Name;

    public async Task<byte[]> AnswerAsync(ReadOnlyMemory<byte> line, uint uid)
    {
        TraceControlRequest request = JsonSerializer.Deserialize(line.Span, ControlJson.Default.TraceControlRequest) ?? throw new JsonException();
        // Of a list's items the annotations above say nothing.
        if (request.Events.Concat(request.Filters).Concat(request.Functions).Concat(request.DynamicDebug).Contains(null))
        {
            throw new JsonException();
        }
        TraceControlAnswer answer = await AnswerAsync(request).ConfigureAwait(false);
        if (request.Verb != "show" && answer.Outcome is not (TraceOutcome.BadRequest or TraceOutcome.NoSuchGuest))
        {
            string outcome = answer.Outcome == TraceOutcome.Done ? "done" : TerminalText.EscapeShort(answer.Reason ?? answer.Outcome.ToString());
            log.TraceChanged(request.Guest, request.Verb, uid, Describe(request), outcome);
        }
        return JsonSerializer.SerializeToUtf8Bytes(answer, ControlJson.Default.TraceControlAnswer);
    }

    private async Task<TraceControlAnswer> AnswerAsync(TraceControlRequest request)
    {
        if (FaultOf(request, out TraceRequest message) is string fault)
        {
            return Failed(TraceOutcome.BadRequest, fault);
        }
        Guest? guest = registry.Guests.FirstOrDefault(g => g.Name == request.Guest);
        if (guest is null)
        {
            return Failed(TraceOutcome.NoSuchGuest, "it has not connected since the collector started");
        }
        GuestSession? session = guest.Sessions.MaxBy(s => s.ConnectedSince);
        if (session is null)
        {
            return Failed(TraceOutcome.NotConnected, "its agent is not connected");
        }
        if (!session.AnswersTraceRequests)
        {
            return Failed(TraceOutcome.AgentTooOld, $"its agent ({TerminalText.EscapeShort(session.Boot.Record.AgentVersion)}) is too old for this; install a newer vsockpair-agent there");
        }
        try
        {
            TraceAnswer answer = await session.AskTraceAsync(message).ConfigureAwait(false);
            return new TraceControlAnswer
            {
                Outcome = answer.Refusal.Length == 0 ? TraceOutcome.Done : TraceOutcome.Refused,
                Reason = answer.Refusal.Length == 0 ? null : answer.Refusal,
                Recorded = Describe(answer),
            };
        }
        catch (TimeoutException)
        {
            return Failed(TraceOutcome.NoAnswer, $"its agent did not answer within {times.TraceAnswer.TotalSeconds:0} s");
        }
        catch (OperationCanceledException)
        {
            return Failed(TraceOutcome.NoAnswer, "its session ended before its agent answered");
        }
    }

    private static TraceControlAnswer Failed(TraceOutcome outcome, string reason) => new() { Outcome = outcome, Reason = reason };

    private static string? FaultOf(TraceControlRequest request, out TraceRequest message)
    {
        TraceVerb? verb = request.Verb switch
        {
            "show" => TraceVerb.Show,
            "set" => TraceVerb.Set,
            "off" => TraceVerb.Off,
            _ => null,
        };
        TraceSettings settings = new()
        {
            Events = request.Events,
            Filters = request.Filters,
            Tracer = request.Tracer,
            Functions = request.Functions,
            BufferKb = request.BufferKb,
            DynamicDebug = request.DynamicDebug,
        };
        message = new TraceRequest(0, verb ?? TraceVerb.Show, verb == TraceVerb.Set ? settings : TraceSettings.None, verb == TraceVerb.Set ? request.Seconds : 0);
        return verb is null ? "the verbs are show, set and off" : verb == TraceVerb.Set ? TraceNames.FaultOf(settings, request.Seconds) : null;
    }

    /// <summary>What a guest claims of times may not be able to be one.</summary>
    private RecordedTrace Describe(in TraceAnswer answer)
    {
        DateTimeOffset now = time.GetUtcNow();
        return new RecordedTrace
        {
            Since = answer.AgeMilliseconds is long age ? now - Span(age) : null,
            Until = answer.LeftMilliseconds is long left ? now + Span(left) : null,
            Events = answer.Settings.Events,
            EventCount = answer.EventCount,
            Filters = answer.Settings.Filters,
            Tracer = answer.Settings.Tracer.Length > 0 ? answer.Settings.Tracer : null,
            Functions = answer.Settings.Functions,
            BufferKb = answer.Settings.BufferKb,
            DynamicDebug = answer.Settings.DynamicDebug,
        };

        static TimeSpan Span(long milliseconds) => TimeSpan.FromMilliseconds(Math.Clamp(milliseconds, 0, 366L * Wire.MaxTraceSeconds * 1000));
    }

    private static string Describe(TraceControlRequest request)
    {
        IEnumerable<string> parts =
        [
            .. request.Events,
            .. request.Filters.Select(f => $"filter {f}"),
            .. request.Functions.Select(f => $"{request.Tracer} {f}"),
            .. request.DynamicDebug.Select(d => $"dynamic_debug {d}"),
            .. request.BufferKb > 0 ? [$"{request.BufferKb} KiB"] : Array.Empty<string>(),
            .. request.Seconds > 0 ? [$"for {request.Seconds} s"] : Array.Empty<string>(),
        ];
        return TerminalText.EscapeShort(string.Join(", ", parts));
    }
}
