namespace VsockPair.GuestAgent.Connections;

/// <summary>
/// Growing waits with jitter, so that the agents of a host whose collector came back do not all arrive at once. They grow by a quarter, not twofold:
/// the end of an outage is noticed within about a quarter of its length, and every wait is trace that the ring must hold.
/// </summary>
internal sealed class Backoff(Timings timings)
{
    private TimeSpan _next = timings.FirstBackoff;

    /// <summary>Between half and all of a wait that grows each time.</summary>
    public int NextMilliseconds()
    {
        TimeSpan wait = _next;
        _next = TimeSpan.FromTicks(Math.Min(_next.Ticks * 5 / 4, timings.LongestBackoff.Ticks));
        // Jitter only: nothing depends on its being unpredictable.
#pragma warning disable CA5394
        return (int)(wait.TotalMilliseconds * (0.5 + Random.Shared.NextDouble() / 2));
#pragma warning restore CA5394
    }

    public void Reset() => _next = timings.FirstBackoff;
}
