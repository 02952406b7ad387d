using System.Text.Json.Serialization;

namespace VsockPair.Cases;

/// <summary>What a case is about.</summary>
internal static class CaseKinds
{
    public const string Panic = "panic";
    public const string Kdump = "kdump";
    public const string Reset = "reset";
    public const string Hang = "hang";

    /// <summary>Asked for by an operator.</summary>
    public const string Dump = "dump";
}

/// <summary>How much of a guest's memory a case has.</summary>
internal static class MemoryTaken
{
    public const string Full = "full";
    public const string Mini = "mini";
    public const string None = "none";
}

/// <summary><c>cases/ID/event.json</c>: what happened and what was done with the machine. Written by <c>watch</c> at once, and again as it goes on.</summary>
internal sealed record CaseEvent
{
    public required string Id { get; init; }

    public required string Guest { get; init; }

    public Guid? Uuid { get; init; }

    /// <summary>One of <see cref="CaseKinds"/>.</summary>
    public required string Kind { get; init; }

    /// <summary>When it was noticed, or the VMM's own time of it.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>Who said so: <c>qmp:/path</c>, <c>libvirt:URI</c>, or <c>store</c>: a boot that ended without a word.</summary>
    public required string Source { get; init; }

    /// <summary>The VMM's own words; a guest may have chosen them.</summary>
    public string? Detail { get; init; }

    /// <summary>Boot folder of the boot that died, as stored when the case was opened; null when this guest has no agent.</summary>
    public string? Boot { get; init; }

    /// <summary>Further events of the same crash that were not made cases of their own.</summary>
    public long Repeats { get; init; }

    /// <summary>How often the taking of the memory was begun: a second time only when <c>watch</c> died during the first.</summary>
    public int Attempts { get; init; }

    /// <summary>Null until the memory has been seen to.</summary>
    public CaseMemory? Memory { get; init; }

    /// <summary><c>continue</c>, <c>stop</c> or <c>reset</c>: what was done with the machine afterwards; null while it is held, and where it was not ours to act.</summary>
    public string? Action { get; init; }

    /// <summary>Null while it is held, and where it was never held.</summary>
    public DateTimeOffset? Released { get; init; }

    /// <summary>When the finished case was told to those who listen; null while it is not. From then on <c>watch</c> leaves it alone.</summary>
    public DateTimeOffset? Announced { get; init; }
}

/// <summary>The memory of a case.</summary>
/// <param name="Policy"><c>auto</c>, <c>full</c>, <c>mini</c> or <c>none</c>.</param>
/// <param name="Taken">One of <see cref="MemoryTaken"/>.</param>
/// <param name="Format"><c>elf</c>, <c>kdump</c> or <c>kdump-flattened</c> of the file <c>vmcore</c>; null when there is none.</param>
/// <param name="Reason">Why there is less than the policy asks for; null when there is not.</param>
/// <param name="PausedSeconds">How long the machine stood still for it.</param>
internal sealed record CaseMemory(string Policy, string Taken, string? Format, string? Reason, double PausedSeconds);

/// <summary><c>cases/ID/manifest.json</c>.</summary>
internal sealed record CaseManifest
{
    public required string Id { get; init; }

    public required string Guest { get; init; }

    /// <summary>Null when nothing tells it.</summary>
    public Guid? BootId { get; init; }

    public required string Kind { get; init; }

    public required DateTimeOffset Time { get; init; }

    /// <summary>Lower-case hex; null when nothing tells it.</summary>
    public string? BuildId { get; init; }

    /// <summary><c>uname -r</c>, as the guest claims it; null when nothing tells it.</summary>
    public string? Kernel { get; init; }

    /// <summary>When the last part came; null while more may come.</summary>
    public DateTimeOffset? Closed { get; init; }

    public required IReadOnlyList<CasePart> Parts { get; init; }

    public required IReadOnlyList<MissingPart> Missing { get; init; }
}

/// <param name="Path">Relative to the case's folder.</param>
/// <param name="Source"><c>stream</c>, <c>memory</c>, <c>pstore</c>, <c>persistent-ring</c> or <c>host</c>; more than one joined by <c>+</c>.</param>
/// <param name="Time">When it was written.</param>
/// <param name="Complete">Whether it holds all that it should; <c>missing</c> then says nothing of it.</param>
internal sealed record CasePart(string Path, string Source, long Bytes, string Sha256, DateTimeOffset Time, bool Complete);

internal sealed record MissingPart(string Part, string Reason);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true, Converters = [typeof(Storage.RfcTimeConverter)])]
[JsonSerializable(typeof(CaseEvent))]
[JsonSerializable(typeof(CaseManifest))]
[JsonSerializable(typeof(MemoryRing))]
internal sealed partial class CaseJson : JsonSerializerContext;
