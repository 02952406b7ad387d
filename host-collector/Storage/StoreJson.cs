using System.Text.Json.Serialization;

namespace VsockPair.Storage;

/// <summary>The store's JSON, without reflection. Keys are snake_case; times RFC 3339 with nanoseconds.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    Converters = [typeof(RfcTimeConverter)])]
[JsonSerializable(typeof(GuestRecord))]
[JsonSerializable(typeof(BootRecord))]
[JsonSerializable(typeof(RingRecord))]
[JsonSerializable(typeof(LossRecord))]
[JsonSerializable(typeof(SegmentSummary))]
[JsonSerializable(typeof(ClockSample))]
public sealed partial class StoreJson : JsonSerializerContext;
