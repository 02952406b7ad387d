namespace VsockPair.Storage;

/// <summary>
/// How old things are by the host's clock, for what is removed by age. The clock may be set wrong by years while the collector runs: so it is read once, and carried on by
/// the monotonic clock; while the two disagree nothing is old. Any thread.
/// </summary>
internal sealed class HostAge(TimeProvider time)
{
    /// <summary>More than clocks are corrected by in ordinary life.</summary>
    private static readonly TimeSpan Tolerance = TimeSpan.FromHours(1);

    private readonly DateTimeOffset _start = time.GetUtcNow();
    private readonly long _startTimestamp = time.GetTimestamp();

    /// <summary>How far the host's clock was set since the start; zero when it may be trusted.</summary>
    public TimeSpan Step
    {
        get
        {
            TimeSpan step = time.GetUtcNow() - Carried;
            return step.Duration() <= Tolerance ? TimeSpan.Zero : step;
        }
    }

    /// <returns>The moment so long ago; a moment before everything while the clock cannot be trusted.</returns>
    public DateTimeOffset Ago(TimeSpan age)
    {
        DateTimeOffset now = time.GetUtcNow();
        DateTimeOffset carried = Carried;
        return Step != TimeSpan.Zero ? DateTimeOffset.MinValue : (now < carried ? now : carried) - age;
    }

    private DateTimeOffset Carried => _start + time.GetElapsedTime(_startTimestamp);
}
