using System.Runtime.InteropServices;
using VsockPair.Clocks;
using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>
/// When to look at a guest's clocks: once in an interval, and four times a second apart where a new piece of their history begins: with a session, and when a burst finds
/// them where they could not have drifted (the guest was paused, restored or moved, or a clock was set). Its session's lock guards it.
/// </summary>
internal sealed class ClockSampler
{
    private const int DenseBursts = 4;
    private static readonly long DenseInterval = (long)TimeSpan.FromSeconds(1).TotalMilliseconds;

    /// <summary>A guest whose answers make no sense is not looked at more often for it.</summary>
    private static readonly long DenseAtMostEvery = (long)TimeSpan.FromMinutes(1).TotalMilliseconds;

    private readonly ClockBurst _burst = new();
    private readonly List<ClockPoint> _monotonic = [];
    private readonly List<ClockPoint> _realTime = [];
    private readonly long _interval;
    private long _next;
    private long _nextDense;
    private int _dense = DenseBursts;

    /// <param name="now">Milliseconds, as in <see cref="Due"/>.</param>
    public ClockSampler(TimeSpan interval, long now)
    {
        _interval = (long)interval.TotalMilliseconds;
        _next = now;
        _nextDense = now + DenseAtMostEvery;
    }

    /// <summary>The first ping of a burst, if it is time for one.</summary>
    public Ping? Due(long now)
    {
        if (now < _next || _burst.IsRunning)
        {
            return null;
        }
        _dense = Math.Max(0, _dense - 1);
        _next = now + (_dense > 0 ? Math.Min(DenseInterval, _interval) : _interval);
        return _burst.Start();
    }

    /// <inheritdoc cref="ClockBurst.Take"/>
    public bool Take(in Pong pong, DateTimeOffset time, long now, out Ping? next, out ClockSample? sample)
    {
        if (!_burst.Take(pong, time, out next, out sample))
        {
            return false;
        }
        // Both are looked at: a step of the host's realtime is none of its monotonic clock.
        if (sample is not null && (Begins(_monotonic, new ClockPoint(sample.GuestBoot, sample.HostMonotonic, sample.Error))
            | Begins(_realTime, new ClockPoint(sample.GuestBoot, sample.HostRealTime, sample.Error))) && now >= _nextDense)
        {
            _dense = DenseBursts;
            _next = now + DenseInterval;
            _nextDense = now + DenseAtMostEvery;
        }
        return true;
    }

    private static bool Begins(List<ClockPoint> piece, in ClockPoint point)
    {
        if (!point.IsPlausible)
        {
            return false;
        }
        bool begins = piece.Count > 0 && (piece[^1].From >= point.From || ClockPiece.Excludes(CollectionsMarshal.AsSpan(piece), point));
        if (begins)
        {
            piece.Clear();
        }
        else if (piece.Count == ClockPiece.Window)
        {
            piece.RemoveAt(0);
        }
        piece.Add(point);
        return begins;
    }
}
