namespace VsockPair.Storage;

/// <summary>When segments are compressed; tests choose their own.</summary>
internal sealed record CompressionTimes
{
    /// <summary>After a segment was closed. Most of what is looked at is this young, and its pages are still in memory when it is read for compression.</summary>
    public TimeSpan After { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How often is looked for segments that have come of age.</summary>
    public TimeSpan Every { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>After a segment could not be compressed.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromMinutes(1);
}
