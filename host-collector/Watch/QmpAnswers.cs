using System.Text.Json.Serialization;

namespace VsockPair.Watch;

/// <summary><c>query-status</c>.</summary>
internal sealed record QmpStatus(string Status);

/// <summary><c>query-uuid</c>: all zero for a machine that was given none.</summary>
internal sealed record QmpUuid([property: JsonPropertyName("UUID")] Guid Uuid);

/// <summary><c>query-memory-size-summary</c>, bytes.</summary>
internal sealed record QmpMemorySize(
    [property: JsonPropertyName("base-memory")] long BaseMemory, [property: JsonPropertyName("plugged-memory")] long? PluggedMemory = null);

/// <summary><c>query-dump-guest-memory-capability</c>.</summary>
internal sealed record QmpDumpCapability(IReadOnlyList<string> Formats);

/// <summary><c>query-dump</c>, and <c>result</c> of DUMP_COMPLETED. Bytes of memory, not of the file.</summary>
internal sealed record QmpDump(string Status, long Completed, long Total);

/// <summary>DUMP_COMPLETED. <c>error</c> only where it failed.</summary>
internal sealed record QmpDumpCompleted(QmpDump Result, string? Error = null);

/// <summary>One entry of <c>qom-list</c>.</summary>
internal sealed record QmpProperty(string Name, string Type);

/// <summary>RESET, SHUTDOWN.</summary>
internal sealed record QmpReason(string? Reason = null);

/// <summary>WATCHDOG, GUEST_PANICKED.</summary>
internal sealed record QmpAction(string? Action = null);

/// <summary>QMP without reflection. What is missing or of the wrong type is a JsonException.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, MaxDepth = QmpMessage.MaxDepth)]
[JsonSerializable(typeof(QmpStatus))]
[JsonSerializable(typeof(QmpUuid))]
[JsonSerializable(typeof(QmpMemorySize))]
[JsonSerializable(typeof(QmpDumpCapability))]
[JsonSerializable(typeof(QmpDump))]
[JsonSerializable(typeof(QmpDumpCompleted))]
[JsonSerializable(typeof(IReadOnlyList<QmpProperty>))]
[JsonSerializable(typeof(QmpReason))]
[JsonSerializable(typeof(QmpAction))]
[JsonSerializable(typeof(uint))]
internal sealed partial class QmpJson : JsonSerializerContext;
