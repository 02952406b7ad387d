using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;
using VsockPair.Protocol;
using VsockPair.Status;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary><c>vsockpair trace NAME show|set|off</c>: asks the running collector, which asks the guest's agent.</summary>
internal static class TraceCommand
{
    /// <summary>Behind another operator's request, and a moment for the way.</summary>
    private static readonly TimeSpan Patience = 2 * Wire.TraceTimeout + TimeSpan.FromSeconds(5);

    public static int Run(CommandContext context, TraceControlRequest request, bool json)
    {
        StoredGuest guest = StoredGuest.Find(context.Store, request.Guest);
        TraceControlAnswer answer = Ask(StorePaths.ControlSocket(context.Store), request);
        if (answer.Outcome != TraceOutcome.Done || answer.Recorded is not RecordedTrace recorded)
        {
            throw new CommandFailure(
                answer.Outcome == TraceOutcome.BadRequest ? ExitCode.Usage : ExitCode.Failed,
                $"{guest.Name}: {TerminalText.Escape(answer.Reason ?? "no reason given")}");
        }
        if (json)
        {
            context.Output.WriteLine(JsonSerializer.Serialize(recorded, CommandJson.Default.RecordedTrace));
        }
        else
        {
            Write(context.Output, guest.Name, recorded, context.Time.GetUtcNow());
        }
        return ExitCode.Done;
    }

    private static TraceControlAnswer Ask(string path, TraceControlRequest request)
    {
        try
        {
            byte[] line = JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.TraceControlRequest);
            return JsonSerializer.Deserialize(ControlSocket.Ask(path, line, Patience), ControlJson.Default.TraceControlAnswer) ?? throw new JsonException();
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
        {
            throw new CommandFailure(ExitCode.Failed, $"vsockpair serve does not answer at {TerminalText.Escape(path)}");
        }
        catch (SocketException) when (!File.Exists(path))
        {
            throw new CommandFailure(ExitCode.Failed, $"there is no socket {TerminalText.Escape(path)}, which vsockpair serve makes; is it running, with this --store?");
        }
        catch (SocketException e)
        {
            throw new CommandFailure(ExitCode.Failed, $"vsockpair serve cannot be asked at {TerminalText.Escape(path)} ({TerminalText.Escape(e.Message)}); is it running, and are you of its group?");
        }
        catch (JsonException)
        {
            throw new CommandFailure(ExitCode.Failed, $"vsockpair serve at {TerminalText.Escape(path)} does not know this command: it is another version than this one; restart it");
        }
    }

    private static void Write(TextWriter output, string name, RecordedTrace recorded, DateTimeOffset now)
    {
        Table facts = new("guest", name);
        facts.Add("recorded", Describe(name, recorded, now));
        AddAll(facts, "events", recorded.Events);
        if (recorded.EventCount > recorded.Events.Count)
        {
            facts.Add("", string.Create(CultureInfo.InvariantCulture, $"and {recorded.EventCount - recorded.Events.Count} more"));
        }
        AddAll(facts, "filters", recorded.Filters);
        if (recorded.Tracer is string tracer)
        {
            facts.Add("tracer", TerminalText.Escape(tracer));
            AddAll(facts, "functions", recorded.Functions);
        }
        facts.Add("buffer", string.Create(CultureInfo.InvariantCulture, $"{recorded.BufferKb} KiB per vCPU"));
        AddAll(facts, "dynamic_debug", recorded.DynamicDebug);
        facts.Write(output);
    }

    private static string Describe(string name, RecordedTrace recorded, DateTimeOffset now) =>
        recorded.Since is not DateTimeOffset since ? "what its agent is configured to"
        : recorded.Until is DateTimeOffset until ? $"changed {Units.Duration(now - since)} ago, until {RfcTimeConverter.Text(until)} ({Units.Duration(until - now)} left)"
        : $"changed {Units.Duration(now - since)} ago, until vsockpair trace {name} off";

    private static void AddAll(Table facts, string label, IReadOnlyList<string> values)
    {
        for (int i = 0; i < values.Count; i++)
        {
            facts.Add(i == 0 ? label : "", TerminalText.Escape(values[i]));
        }
    }
}
