namespace VsockPair.Storage;

/// <summary>
/// Which file a segment is in: <c>NAME.pages</c>, or once it was closed for a while <c>NAME.pages.zst</c>, with the same content and time. A segment is known by the
/// path of its first form, whichever it has. The second one appears, whole and verified, before the first goes, so one of the two is always there.
/// </summary>
internal static class SegmentForms
{
    public static string CompressedPath(string segment) => segment + StorePaths.CompressedSuffix;

    /// <summary>What is being compressed; only a collector that died leaves one.</summary>
    public static string UnfinishedPath(string segment) => CompressedPath(segment) + DurableFile.TemporarySuffix;

    /// <summary>The file that it is in now; null when retention has taken it. The first form is looked for first: it may be replaced between the two looks, but never comes back.</summary>
    public static string? Find(string segment) =>
        File.Exists(segment) ? segment : File.Exists(CompressedPath(segment)) ? CompressedPath(segment) : null;

    /// <summary>
    /// Every segment in a stream's folder once, in no order. Sidecars tell of them too: they stay, while readdir(3) may show neither of two forms that are exchanged
    /// just then.
    /// </summary>
    public static IEnumerable<string> In(string folder) =>
        Directory.EnumerateFiles(folder).Select(SegmentOf).OfType<string>().Distinct(StringComparer.Ordinal).Where(segment => Find(segment) is not null);

    /// <summary>What its forms take on the disk.</summary>
    public static long BlocksOf(string segment) => DiskSpace.BlocksOf(segment) + DiskSpace.BlocksOf(CompressedPath(segment));

    /// <summary>What is not there was written in 1601.</summary>
    public static DateTime WrittenUtc(string segment) => File.GetLastWriteTimeUtc(Find(segment) ?? segment);

    /// <summary>Both forms, then what says that it is closed: a sidecar alone is cleared away at the next start, a first form alone would count as left open.</summary>
    public static void Delete(string segment)
    {
        File.Delete(segment);
        File.Delete(CompressedPath(segment));
        File.Delete(SegmentSum.PathOf(segment));
    }

    private static string? SegmentOf(string file)
    {
        foreach (string suffix in (string[])["", StorePaths.CompressedSuffix, StorePaths.SummarySuffix])
        {
            if (file.EndsWith(StorePaths.SegmentSuffix + suffix, StringComparison.Ordinal))
            {
                return file[..^suffix.Length];
            }
        }
        return null;
    }
}
