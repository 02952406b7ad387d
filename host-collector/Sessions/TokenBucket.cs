namespace VsockPair.Sessions;

/// <summary>A budget of bytes per second with some seconds in hand. May be overdrawn; nothing more is read until it is positive again. Any thread.</summary>
internal sealed class TokenBucket
{
    /// <summary>What a ring can hold while its agent was away has to come in at once.</summary>
    private const int BurstSeconds = 4;

    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(50);

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly double _perSecond;
    private readonly double _deepest;
    private double _tokens;
    private long _last;

    /// <param name="deepestSeconds">How many seconds of the rate it can be overdrawn by. What is taken beyond that is forgotten, so that nobody waits longer for it.</param>
    public TokenBucket(long bytesPerSecond, TimeProvider time, double deepestSeconds = double.PositiveInfinity)
    {
        _deepest = -deepestSeconds * bytesPerSecond;
        _time = time;
        _perSecond = bytesPerSecond;
        _tokens = (double)bytesPerSecond * BurstSeconds;
        _last = time.GetTimestamp();
    }

    public bool HasRoom
    {
        get
        {
            lock (_gate)
            {
                Refill();
                return _tokens > 0;
            }
        }
    }

    /// <summary>Returns once there is room, or at the cancellation.</summary>
    public async Task WaitAsync(CancellationToken cancellation)
    {
        while (!HasRoom && !cancellation.IsCancellationRequested)
        {
            await Task.Delay(LookAgain, _time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public void Take(long bytes)
    {
        lock (_gate)
        {
            _tokens = Math.Max(_deepest, _tokens - bytes);
        }
    }

    private void Refill()
    {
        long now = _time.GetTimestamp();
        _tokens = Math.Min(_perSecond * BurstSeconds, _tokens + _time.GetElapsedTime(_last, now).TotalSeconds * _perSecond);
        _last = now;
    }
}
