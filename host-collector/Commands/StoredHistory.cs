using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>How far back a guest's trace reaches, and how much of it comes in a day: from names and sidecars of closed segments alone, none of them is read.</summary>
/// <param name="Oldest">Host time of the oldest stored sub-buffer; null when none is stored.</param>
/// <param name="Newest">Of the newest one.</param>
/// <param name="ReceivedPerDay">Bytes, over the last day of the newest boot; null when too little is closed to tell.</param>
/// <param name="StoredPerDay">What stays of that on the disk once it is compressed; null when nothing has been yet.</param>
internal sealed record StoredHistory(DateTimeOffset? Oldest, DateTimeOffset? Newest, double? ReceivedPerDay, double? StoredPerDay)
{
    private const double NanosecondsPerDay = 86400e9;

    /// <summary>Less than this says nothing of a day.</summary>
    private const double LeastNanoseconds = 10e9;

    public static StoredHistory Of(StoredGuest guest)
    {
        double perDay = 0;
        Sizes sizes = new();
        foreach (string folder in guest.NewestBoot is StoredBoot newest ? Streams(newest) : [])
        {
            perDay += LastDay(folder, sizes);
        }
        StoredBoot? oldest = guest.Boots.FirstOrDefault(HasTrace);
        return new StoredHistory(
            oldest is null ? null : Streams(oldest).Select(f => OldestIn(f)).Min() ?? oldest.Started,
            guest.Boots.LastOrDefault(HasTrace) is StoredBoot last ? Streams(last).Select(f => NewestIn(f)).Max() : null,
            perDay > 0 ? perDay : null,
            perDay > 0 && sizes.Compressed > 0 ? perDay * sizes.Compressed / sizes.Plain : null);
    }

    private static bool HasTrace(StoredBoot boot) => Streams(boot).Any(f => SegmentForms.In(f).Any());

    private static IEnumerable<string> Streams(StoredBoot boot) =>
        Directory.Exists(StorePaths.Trace(boot.Folder)) ? Directory.EnumerateDirectories(StorePaths.Trace(boot.Folder)) : [];

    /// <returns>Bytes per day of one stream; 0 when it has nothing closed.</returns>
    private static double LastDay(string folder, Sizes sizes)
    {
        ulong from = 0;
        ulong to = 0;
        double bytes = 0;
        foreach (string segment in SegmentForms.In(folder).OrderDescending(StringComparer.Ordinal))
        {
            if (SegmentSum.TryRead(segment) is not { Bytes: long plain } sum)
            {
                continue;
            }
            to = to == 0 ? sum.Last : to;
            if (to - Math.Min(sum.First, to) > NanosecondsPerDay)
            {
                break;
            }
            from = sum.First;
            bytes += plain;
            if (!File.Exists(segment))
            {
                sizes.Add(plain, SegmentForms.BlocksOf(segment));
            }
        }
        double span = to - Math.Min(from, to);
        return span < LeastNanoseconds ? 0 : bytes / span * NanosecondsPerDay;
    }

    /// <summary>A segment was last written when its last sub-buffer came; the guest's own clock says how long before that its first one was.</summary>
    private static DateTimeOffset? OldestIn(string folder)
    {
        string? segment = SegmentForms.In(folder).Min(StringComparer.Ordinal);
        return segment is not null && SegmentSum.TryRead(segment) is SegmentSummary sum
            ? new DateTimeOffset(SegmentForms.WrittenUtc(segment), TimeSpan.Zero).AddTicks(-(long)((sum.Last - Math.Min(sum.First, sum.Last)) / TimeSpan.NanosecondsPerTick))
            : null;
    }

    private static DateTimeOffset? NewestIn(string folder) =>
        SegmentForms.In(folder).Max(StringComparer.Ordinal) is string segment ? new DateTimeOffset(SegmentForms.WrittenUtc(segment), TimeSpan.Zero) : null;

    /// <summary>What compressed segments took before and what they take now.</summary>
    private sealed class Sizes
    {
        public double Plain { get; private set; }

        public double Compressed { get; private set; }

        public void Add(long plain, long compressed)
        {
            Plain += plain;
            Compressed += compressed;
        }
    }
}
