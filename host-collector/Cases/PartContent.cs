namespace VsockPair.Cases;

/// <summary>What has been written of a part.</summary>
/// <param name="Source">As <see cref="CasePart.Source"/>.</param>
/// <param name="Lacks">What is not in it that should be, and why; null when it is complete.</param>
internal sealed record PartContent(string Source, string? Lacks)
{
    public const string FromStream = "stream";
    public const string FromMemory = "memory";
    public const string FromPstore = "pstore";
    public const string FromPersistentRing = "persistent-ring";
    public const string FromHost = "host";
}

/// <summary>There is nothing for a part of a case, and why.</summary>
internal sealed class MissingPartException(string reason) : Exception(reason);
