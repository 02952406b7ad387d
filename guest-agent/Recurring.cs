namespace VsockPair.GuestAgent;

/// <summary>Something to do every so often, in milliseconds of the monotonic clock.</summary>
internal sealed class Recurring(TimeSpan interval)
{
    private readonly long _interval = (long)interval.TotalMilliseconds;
    private long _dueAt = Environment.TickCount64 + (long)interval.TotalMilliseconds;

    public int MillisecondsLeft => (int)Math.Max(0, _dueAt - Environment.TickCount64);

    /// <summary>True once per interval.</summary>
    public bool IsDue() => IsDue(early: 0);

    /// <summary>As <see cref="IsDue()"/>, but a sixteenth of the interval may be missing: for a thread that is awake anyway, one wake-up instead of two.</summary>
    public bool IsAboutDue() => IsDue(_interval / 16);

    private bool IsDue(long early)
    {
        long now = Environment.TickCount64;
        if (now < _dueAt - early)
        {
            return false;
        }
        _dueAt = now + _interval;
        return true;
    }
}
