namespace VsockPair.GuestAgent.Tracing;

/// <summary>What an instance records: what the configuration says, or that and what an operator of the host asked for.</summary>
internal sealed class TraceSetup
{
    public const string NoTracer = "nop";

    /// <summary><c>SYSTEM/EVENT</c>.</summary>
    public required List<string> Events { get; init; }

    /// <summary><c>SYSTEM/EVENT</c> → expression.</summary>
    public Dictionary<string, string> Filters { get; init; } = [];

    public string Tracer { get; init; } = NoTracer;

    /// <summary>Patterns, with a space between two.</summary>
    public string Functions { get; init; } = "";

    /// <summary>Of the whole guest, unlike all else.</summary>
    public IReadOnlyList<string> DynamicDebug { get; init; } = [];

    /// <summary>Per vCPU.</summary>
    public required int BufferKb { get; init; }
}
