using System.Text.Json.Serialization;

namespace VsockPair.Listening;

/// <summary>
/// One file of <c>&lt;store&gt;/identity/</c>, any name ending in <c>.json</c>, one per running VM: written by <c>vsockpair watch</c> under a temporary name and renamed,
/// removed when the VM is gone. <c>{"name":"web1","uuid":"…","cid":42}</c>
/// </summary>
internal sealed record IdentityRecord
{
    public required string Name { get; init; }

    public Guid? Uuid { get; init; }

    public uint? Cid { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(IdentityRecord))]
internal sealed partial class IdentityJson : JsonSerializerContext;
