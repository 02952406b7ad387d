using System.Text.Json.Serialization;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>One line of <c>cases/removed.jsonl</c>: what went, and why.</summary>
internal sealed record RemovedRecord
{
    public const string Memory = "memory";
    public const string Case = "case";

    public required DateTimeOffset Time { get; init; }

    /// <summary>Id; null in a line that sums up older ones.</summary>
    public string? Id { get; init; }

    /// <summary><see cref="Memory"/> or <see cref="Case"/>.</summary>
    public required string What { get; init; }

    public required long Bytes { get; init; }

    /// <summary>The option, or <c>several</c>.</summary>
    public required string Why { get; init; }

    public long Count { get; init; } = 1;
}

/// <summary>One object a line.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(RfcTimeConverter)])]
[JsonSerializable(typeof(RemovedRecord))]
internal sealed partial class RemovedJson : JsonSerializerContext;
