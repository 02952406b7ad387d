using VsockPair.Options;

namespace VsockPair.Storage;

/// <summary>Sizes that follow from the options.</summary>
internal sealed class StoreLimits(StoreOptions options)
{
    /// <summary>A quota holds four files at least, so that removing one is never removing all.</summary>
    private const int FilesPerKmsgQuota = 4;

    public long SegmentBytes { get; } = options.SegmentBytes;

    public long KmsgFileBytes { get; } = Math.Min(options.SegmentBytes, options.KmsgQuota / FilesPerKmsgQuota);

    public TimeSpan SegmentAge { get; } = options.SegmentAge;
}
