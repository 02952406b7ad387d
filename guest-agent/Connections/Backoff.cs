namespace VsockPair.GuestAgent.Connections;

/// <summary>Doubling waits with jitter, so that the agents of a host whose collector came back do not all arrive at once.</summary>
internal sealed class Backoff(Timings timings)
{
    private TimeSpan _next = timings.FirstBackoff;

    /// <summary>Between half and all of a wait that doubles each time.</summary>
    public int NextMilliseconds()
    {
        TimeSpan wait = _next;
        _next = TimeSpan.FromTicks(Math.Min(_next.Ticks * 2, timings.LongestBackoff.Ticks));
        // Jitter only: nothing depends on its being unpredictable.
#pragma warning disable CA5394
        return (int)(wait.TotalMilliseconds * (0.5 + Random.Shared.NextDouble() / 2));
#pragma warning restore CA5394
    }

    public void Reset() => _next = timings.FirstBackoff;
}
