namespace VsockPair.GuestAgent;

/// <summary>Something to do every so often, in milliseconds of the monotonic clock.</summary>
internal sealed class Recurring(TimeSpan interval)
{
    private readonly long _interval = (long)interval.TotalMilliseconds;
    private long _dueAt = Environment.TickCount64 + (long)interval.TotalMilliseconds;

    public int MillisecondsLeft => (int)Math.Max(0, _dueAt - Environment.TickCount64);

    /// <summary>True once per interval.</summary>
    public bool IsDue()
    {
        long now = Environment.TickCount64;
        if (now < _dueAt)
        {
            return false;
        }
        _dueAt = now + _interval;
        return true;
    }
}
