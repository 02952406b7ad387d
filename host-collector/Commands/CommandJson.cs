using System.Text.Json.Serialization;
using VsockPair.Status;
using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>What commands print with <c>--json</c>, without reflection. Keys and times as in the store.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(RfcTimeConverter)])]
[JsonSerializable(typeof(IReadOnlyList<GuestReport>))]
[JsonSerializable(typeof(GuestReport))]
[JsonSerializable(typeof(RecordedTrace))]
[JsonSerializable(typeof(IReadOnlyCollection<LossSum>))]
[JsonSerializable(typeof(IReadOnlyList<CaseSummary>))]
[JsonSerializable(typeof(CaseView))]
internal sealed partial class CommandJson : JsonSerializerContext;
