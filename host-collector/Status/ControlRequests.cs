using System.Text.Json.Serialization;
using VsockPair.Storage;

namespace VsockPair.Status;

/// <summary>What every request at <c>control.sock</c> begins with.</summary>
public sealed record ControlRequest
{
    public required string Command { get; init; }
}

/// <summary>Instead of an answer to a request that this collector does not know.</summary>
public sealed record ControlError(string Error);

/// <summary><c>{"command":"trace",…}</c>: what a guest records, as <see cref="Protocol.TraceRequest"/>.</summary>
public sealed record TraceControlRequest
{
    public const string Name = "trace";

    public required string Command { get; init; }

    public required string Guest { get; init; }

    /// <summary><c>show</c>, <c>set</c> or <c>off</c>; the fields below are for <c>set</c> alone, and there all the same.</summary>
    public required string Verb { get; init; }

    public required IReadOnlyList<string> Events { get; init; }

    public required IReadOnlyList<string> Filters { get; init; }

    /// <summary>Empty for none.</summary>
    public required string Tracer { get; init; }

    public required IReadOnlyList<string> Functions { get; init; }

    /// <summary>0: as configured.</summary>
    public required int BufferKb { get; init; }

    public required IReadOnlyList<string> DynamicDebug { get; init; }

    /// <summary>0: no end.</summary>
    public required int Seconds { get; init; }
}

/// <summary>How a trace request ended.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<TraceOutcome>))]
public enum TraceOutcome
{
    [JsonStringEnumMemberName("done")]
    Done,

    /// <summary>By the guest's agent: nothing has changed.</summary>
    [JsonStringEnumMemberName("refused")]
    Refused,
    [JsonStringEnumMemberName("bad_request")]
    BadRequest,
    [JsonStringEnumMemberName("no_such_guest")]
    NoSuchGuest,
    [JsonStringEnumMemberName("not_connected")]
    NotConnected,
    [JsonStringEnumMemberName("agent_too_old")]
    AgentTooOld,

    /// <summary>Not in time, or its session has ended meanwhile: what is recorded is not known.</summary>
    [JsonStringEnumMemberName("no_answer")]
    NoAnswer,
}

/// <summary>The answer to <see cref="TraceControlRequest"/>.</summary>
public sealed record TraceControlAnswer
{
    public required TraceOutcome Outcome { get; init; }

    /// <summary>In words, of the guest's where it has refused.</summary>
    public string? Reason { get; init; }

    /// <summary>What is recorded now, where the agent has said so.</summary>
    public RecordedTrace? Recorded { get; init; }
}

/// <summary>What a guest records, as its agent says.</summary>
public sealed record RecordedTrace
{
    /// <summary>Since something else than the guest's configuration is recorded; null while it is not. Host time, as <see cref="Until"/>.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>When the configuration will be restored; null for no end.</summary>
    public DateTimeOffset? Until { get; init; }

    public required IReadOnlyList<string> Events { get; init; }

    /// <summary>All of them; a long list comes without its end.</summary>
    public required int EventCount { get; init; }

    public required IReadOnlyList<string> Filters { get; init; }

    public string? Tracer { get; init; }

    public required IReadOnlyList<string> Functions { get; init; }

    /// <summary>Per vCPU.</summary>
    public required int BufferKb { get; init; }

    public required IReadOnlyList<string> DynamicDebug { get; init; }
}

/// <summary>JSON of <c>control.sock</c>, without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, Converters = [typeof(RfcTimeConverter)])]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlError))]
[JsonSerializable(typeof(CollectorStatus))]
[JsonSerializable(typeof(TraceControlRequest))]
[JsonSerializable(typeof(TraceControlAnswer))]
public sealed partial class ControlJson : JsonSerializerContext;
