using System.Text.Json.Serialization;

namespace VsockPair.Listening;

/// <summary>
/// One file of <c>&lt;store&gt;/identity/</c>, any name ending in <c>.json</c>, one per running VM: written by <c>vsockpair watch</c> under a temporary name and renamed,
/// removed when the VM is gone. <c>{"name":"web1","uuid":"…","cid":42,"started":"…","source":"qmp:/run/vms/web1/qmp.sock","host":[…]}</c>
/// </summary>
internal sealed record IdentityRecord
{
    public required string Name { get; init; }

    public Guid? Uuid { get; init; }

    public uint? Cid { get; init; }

    /// <summary>When its VMM was started; null when that cannot be known.</summary>
    public DateTimeOffset? Started { get; init; }

    public string? Source { get; init; }

    /// <summary>Whether a crash of it would be caught, as far as this host decides it.</summary>
    public IReadOnlyList<HostCheck> Host { get; init; } = [];
}

/// <param name="Check">A short name for programs: <c>panic-action</c>.</param>
/// <param name="Text">What was found, for a person.</param>
/// <param name="Fix">The command or argument that mends it; null where all is well.</param>
internal sealed record HostCheck(string Check, bool Ok, string Text, string? Fix = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(Storage.RfcTimeConverter)])]
[JsonSerializable(typeof(IdentityRecord))]
internal sealed partial class IdentityJson : JsonSerializerContext;
