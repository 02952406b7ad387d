using VsockPair.Linux;

namespace VsockPair.Sessions;

/// <summary>Both clocks of the host at one moment. Nanoseconds.</summary>
/// <param name="Skew">How much later than <paramref name="Monotonic"/> the other may have been read.</param>
internal readonly record struct HostClocks(long Monotonic, long RealTime, long Skew)
{
    /// <summary>A thread that is interrupted between two readings tries again.</summary>
    private const int Attempts = 3;

    private const long GoodSkew = 1000;

    public static HostClocks Now()
    {
        HostClocks best = Read();
        for (int i = 1; i < Attempts && best.Skew > GoodSkew; i++)
        {
            HostClocks next = Read();
            best = next.Skew < best.Skew ? next : best;
        }
        return best;
    }

    // The first reading of the three is the earliest moment at which a ping could be sent that is sent after them.
    private static HostClocks Read()
    {
        long monotonic = Sys.Now(Constants.CLOCK_MONOTONIC);
        long realTime = Sys.Now(Constants.CLOCK_REALTIME);
        return new HostClocks(monotonic, realTime, Sys.Now(Constants.CLOCK_MONOTONIC) - monotonic);
    }
}
