namespace VsockPair.Storage;

/// <summary>A whole boot that goes: what its line in the guest's ledger says, and how a removal that was cut short is finished.</summary>
internal static class BootRemoval
{
    /// <summary>What the line has in place of a stream.</summary>
    public const string Stream = "boot";

    public static bool HoldsData(string folder) =>
        new[] { StorePaths.Trace(folder), StorePaths.Kmsg(folder), StorePaths.Pstore(folder), StorePaths.Previous(folder) }.Any(f => Directory.Exists(f) && Directory.EnumerateFiles(f, "*", SearchOption.AllDirectories).Any());

    public static LossRecord LineOf(string folder, DateTimeOffset now)
    {
        long events = 0;
        long bytes = 0;
        foreach (string file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            bytes = Saturating.Add(bytes, DiskSpace.BlocksOf(file));
            // Events of another boot are no part of this one's account.
            if (file.EndsWith(StorePaths.SegmentSuffix + StorePaths.SummarySuffix, StringComparison.Ordinal) && !file.StartsWith(StorePaths.Previous(folder), StringComparison.Ordinal))
            {
                string segment = file[..^StorePaths.SummarySuffix.Length];
                events = Saturating.Add(events, Math.Max(0, SegmentSum.TryRead(segment)?.Events ?? 0));
            }
        }
        return new LossRecord { Time = now, Source = LossSources.Retention, Stream = Stream, Events = events, Bytes = bytes, Boot = Path.GetFileName(folder) };
    }

    /// <summary>Removes what is left of the folder, unless the same boot has come back since.</summary>
    public static void Finish(string folder, DateTimeOffset removed)
    {
        if (Directory.Exists(folder) && !(DurableFile.TryRead(StorePaths.BootRecord(folder), StoreJson.Default.BootRecord)?.Started > removed))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
