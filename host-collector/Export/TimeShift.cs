using VsockPair.Clocks;

namespace VsockPair.Export;

/// <summary>
/// The option TIME_SHIFT of trace.dat: moments of the file's own clock with what is to be added then, which trace-cmd and KernelShark interpolate and apply as they read
/// (<c>timestamp_correction_calc</c> in trace-cmd's trace-input.c). The stored sub-buffers stay as they are.
/// </summary>
internal static class TimeShift
{
    private const uint Interpolate = 1;

    /// <summary>Of all vCPUs together: 40 bytes each in the file.</summary>
    private const int MostMoments = 1 << 20;
    private const int MostMomentsPerVcpu = 4096;
    private const int LeastMomentsPerVcpu = 64;

    /// <summary>
    /// Longest stretch without a moment, unless there would be too many. The reader multiplies a stretch with the change of the offset in it, in 64 bits: a minute at
    /// 2000 ppm fits.
    /// </summary>
    private const long LongestStretch = 60L * 1_000_000_000;

    /// <param name="vcpus">One more than the highest number: each needs moments of its own, and those without stay unshifted.</param>
    public static byte[] Encode(TraceDatFile file, ExportTimes times, (long From, long To) stretch, int vcpus)
    {
        (long Time, long Offset)[] moments = [.. MomentsOf(times.Line!, stretch.From, stretch.To, Math.Clamp(MostMoments / vcpus, LeastMomentsPerVcpu, MostMomentsPerVcpu))];
        using MemoryStream option = new();
        file.Write(option, times.PeerId);
        file.Write(option, Interpolate);
        file.Write(option, (uint)vcpus);
        for (int i = 0; i < vcpus; i++)
        {
            file.Write(option, (uint)moments.Length);
            foreach ((long time, _) in moments)
            {
                file.Write(option, (ulong)time);
            }
            foreach ((_, long offset) in moments)
            {
                file.Write(option, (ulong)offset);
            }
            WriteAll(file, option, moments.Length, 1);
        }
        // Fraction bits of the scaling, which is 1.
        for (int i = 0; i < vcpus; i++)
        {
            WriteAll(file, option, moments.Length, 0);
        }
        return option.ToArray();
    }

    /// <summary>The line's points in a stretch, or as many of them as may be; both sides of each jump; and none further from the next than the reader can bear.</summary>
    internal static IEnumerable<(long Time, long Offset)> MomentsOf(ClockLine line, long from, long to, int most)
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

    private static void WriteAll(TraceDatFile file, MemoryStream option, int count, ulong number)
    {
        for (int i = 0; i < count; i++)
        {
            file.Write(option, number);
        }
    }
}
