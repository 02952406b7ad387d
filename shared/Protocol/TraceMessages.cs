namespace VsockPair.Protocol;

/// <summary>What an agent is able to do beyond version 1 of the protocol, as its Hello says.</summary>
[Flags]
public enum AgentCapabilities : uint
{
    None = 0,

    /// <summary>Answers <see cref="TraceRequest"/>, even if only to refuse it.</summary>
    TraceControl = 1,
}

public enum TraceVerb : uint
{
    /// <summary>Say what is recorded now.</summary>
    Show = 0,

    /// <summary>Record these events as well as the configured ones, and all else as the request says. Replaces an earlier Set.</summary>
    Set = 1,

    /// <summary>Record what the guest's configuration says.</summary>
    Off = 2,
}

/// <summary>
/// What to record, or what is recorded. The rules for names are those of <see cref="Tracing.TraceNames"/>, and hold for both programs.
/// </summary>
public readonly record struct TraceSettings
{
    public const int Fields = 6;

    /// <summary>In a request SYSTEM or SYSTEM:EVENT, with * and ?; in an answer SYSTEM:EVENT, as many as fit.</summary>
    public required IReadOnlyList<string> Events { get; init; }

    /// <summary><c>SYSTEM:EVENT EXPRESSION</c>, one per event.</summary>
    public required IReadOnlyList<string> Filters { get; init; }

    /// <summary><c>function</c>, <c>function_graph</c>, or empty.</summary>
    public required string Tracer { get; init; }

    /// <summary>Patterns of the functions that the tracer follows.</summary>
    public required IReadOnlyList<string> Functions { get; init; }

    /// <summary>KiB per vCPU. In a request 0: as configured.</summary>
    public required int BufferKb { get; init; }

    /// <summary>Queries of the kernel's <c>dynamic_debug/control</c>.</summary>
    public required IReadOnlyList<string> DynamicDebug { get; init; }

    public static TraceSettings None { get; } = new() { Events = [], Filters = [], Tracer = "", Functions = [], BufferKb = 0, DynamicDebug = [] };

    internal void Write(ref FrameWriter writer)
    {
        writer.Write(Events);
        writer.Write(Filters);
        writer.Write(Tracer);
        writer.Write(Functions);
        writer.Write((uint)BufferKb);
        writer.Write(DynamicDebug);
    }

    internal static bool TryRead(ref FrameReader reader, int mostEvents, out TraceSettings settings)
    {
        bool read = reader.TryReadTexts(mostEvents, out IReadOnlyList<string> events) & reader.TryReadTexts(Wire.MaxTraceItems, out IReadOnlyList<string> filters)
            & reader.TryRead(out string tracer) & reader.TryReadTexts(Wire.MaxTraceItems, out IReadOnlyList<string> functions)
            & reader.TryRead(int.MaxValue, out int bufferKb) & reader.TryReadTexts(Wire.MaxTraceItems, out IReadOnlyList<string> dynamicDebug);
        settings = new TraceSettings { Events = events, Filters = filters, Tracer = tracer, Functions = functions, BufferKb = bufferKb, DynamicDebug = dynamicDebug };
        return read;
    }
}

/// <summary>Collector → agent: an operator of the host wants to know or to change what is recorded.</summary>
/// <param name="Id">Rises in a session.</param>
/// <param name="Settings">Empty but for <see cref="TraceVerb.Set"/>.</param>
/// <param name="Seconds">Until the configuration is restored; 0 for no end.</param>
public readonly record struct TraceRequest(uint Id, TraceVerb Verb, TraceSettings Settings, int Seconds) : IMessage<TraceRequest>
{
    public static MessageType Type => MessageType.TraceRequest;

    public int Fields => 3 + TraceSettings.Fields;

    public void Write(ref FrameWriter writer)
    {
        writer.Write(Id);
        writer.Write((uint)Verb);
        Settings.Write(ref writer);
        writer.Write((uint)Seconds);
    }

    public static bool TryRead(ref FrameReader reader, out TraceRequest message)
    {
        bool read = reader.TryRead(out uint id) & reader.TryRead((int)TraceVerb.Off, out int verb)
            & TraceSettings.TryRead(ref reader, Wire.MaxTraceItems, out TraceSettings settings) & reader.TryRead(int.MaxValue, out int seconds);
        message = new TraceRequest(id, (TraceVerb)verb, settings, seconds);
        return read;
    }
}

/// <summary>Agent → collector: what is recorded after the request, whether it was obeyed or not.</summary>
/// <param name="Refusal">Why nothing was changed; empty when the request was obeyed.</param>
/// <param name="EventCount">All events that are recorded, also those whose names did not fit.</param>
/// <param name="AgeMilliseconds">Since something else than the configuration is recorded; nil while it is not.</param>
/// <param name="LeftMilliseconds">Until the configuration is restored; nil for no end.</param>
public readonly record struct TraceAnswer(uint Id, string Refusal, TraceSettings Settings, int EventCount, long? AgeMilliseconds, long? LeftMilliseconds)
    : IMessage<TraceAnswer>
{
    public static MessageType Type => MessageType.TraceAnswer;

    public int Fields => 5 + TraceSettings.Fields;

    public void Write(ref FrameWriter writer)
    {
        writer.Write(Id);
        writer.Write(Refusal);
        Settings.Write(ref writer);
        writer.Write((uint)EventCount);
        writer.Write(AgeMilliseconds);
        writer.Write(LeftMilliseconds);
    }

    public static bool TryRead(ref FrameReader reader, out TraceAnswer message)
    {
        bool read = reader.TryRead(out uint id) & reader.TryRead(out string refusal) & TraceSettings.TryRead(ref reader, Wire.MaxTraceEvents, out TraceSettings settings)
            & reader.TryRead(int.MaxValue, out int eventCount) & reader.TryRead(out long? age) & reader.TryRead(out long? left);
        message = new TraceAnswer(id, refusal, settings, eventCount, age, left);
        return read;
    }
}
