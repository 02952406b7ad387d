using System.Text.Json.Serialization;
using VsockPair.Storage;

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

    /// <summary>What <c>watch</c> sees of how a crash of this machine would be caught, by the names of <see cref="HostChecks"/>; null when it does not look.</summary>
    public IReadOnlyList<CheckRecord>? Host { get; init; }
}

/// <summary>Names of what <c>watch</c> looks at on the host. Others may follow, and are shown as they are.</summary>
internal static class HostChecks
{
    /// <summary>A machine that panics stands still until it is told to go on (QEMU's <c>-action panic=pause</c>, libvirt's <c>on_crash</c>).</summary>
    public const string PanicAction = "panic-action";

    /// <summary>The machine has a device by which its guest's kernel tells of its panic.</summary>
    public const string Pvpanic = "pvpanic-device";

    public const string Vmcoreinfo = "vmcoreinfo";

    /// <summary>There is room for a dump.</summary>
    public const string Disk = "disk";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(RfcTimeConverter)])]
[JsonSerializable(typeof(IdentityRecord))]
internal sealed partial class IdentityJson : JsonSerializerContext;
