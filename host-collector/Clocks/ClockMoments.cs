namespace VsockPair.Clocks;

/// <summary>A line for readers that have no pieces and no errors: moments of the first clock, and what is to be added then to get the second. They interpolate.</summary>
internal static class ClockMoments
{
    /// <summary>
    /// Longest stretch without a moment, unless there would be too many. The reader multiplies a stretch with the change of the offset in it, in 64 bits: a minute at
    /// 2000 ppm fits.
    /// </summary>
    private const long LongestStretch = 60L * 1_000_000_000;

    /// <summary>The line's points in a stretch, or as many of them as may be; both sides of each jump; and none further from the next than the reader can bear.</summary>
    public static IEnumerable<(long Time, long Offset)> Of(ClockLine line, long from, long to, int most)
    {
        int first = line.FirstPointAfter(from);
        int end = line.FirstPointAfter(to);
        // A third for the points, another for what fills their gaps, the rest for the jumps.
        int every = Math.Max(1, (end - first) / (most / 3 + 1) + 1);
        long gap = Math.Max(LongestStretch, (to - from) / (most / 3 + 1));
        int jumps = most / 3;
        long last = from;
        yield return (from, line.At(from).Nanoseconds - from);
        for (int i = first; i < end; i++)
        {
            bool isJump = line.BeginsPiece(i) && jumps-- > 0;
            if (!isJump && (i - first) % every != 0)
            {
                continue;
            }
            long time = line.Points[i].From;
            foreach (long moment in Fill(last, isJump && time - 1 > last ? time - 1 : time, gap))
            {
                yield return (moment, line.At(moment).Nanoseconds - moment);
                last = moment;
            }
            if (time > last)
            {
                yield return (time, line.At(time).Nanoseconds - time);
                last = time;
            }
        }
        foreach (long moment in Fill(last, to, gap))
        {
            yield return (moment, line.At(moment).Nanoseconds - moment);
        }
    }

    /// <summary>From after one moment up to and with another.</summary>
    private static IEnumerable<long> Fill(long after, long upTo, long gap)
    {
        while (upTo - after > gap)
        {
            after += gap;
            yield return after;
        }
        if (upTo > after)
        {
            yield return upTo;
        }
    }
}
