using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>
/// A few pings one after the other, of which the one with the smallest round trip tells the guest's clocks best. Its session's lock guards it.
/// </summary>
internal sealed class ClockBurst
{
    private const int PingsPerBurst = 5;

    private ulong _number;
    private int _left;
    private bool _awaiting;
    private long _sentMonotonic;
    private long _sentRealTime;
    private ClockSample? _best;

    /// <summary>Begins a burst. One that was never answered to its end is given up.</summary>
    public Ping Start()
    {
        _left = PingsPerBurst;
        _best = null;
        return Next();
    }

    /// <param name="next">The burst goes on with this ping.</param>
    /// <param name="sample">The burst is over, and this is its best answer.</param>
    /// <returns>False when nobody asked for this Pong.</returns>
    public bool Take(in Pong pong, DateTimeOffset now, out Ping? next, out ClockSample? sample)
    {
        next = null;
        sample = null;
        if (!_awaiting || pong.Number != _number)
        {
            return false;
        }
        _awaiting = false;
        long half = (Sys.Now(Constants.CLOCK_MONOTONIC) - _sentMonotonic) / 2;
        ClockSample answer = new()
        {
            Time = now,
            HostMonotonic = _sentMonotonic + half,
            HostRealTime = _sentRealTime + half,
            GuestBoot = pong.Boot,
            GuestRealTime = pong.RealTime,
            Error = half,
            GuestLocal = pong.Local,
            GuestLocalAtBoot = pong.LocalAtBoot,
            GuestLocalError = pong.LocalError,
        };
        ClockSample best = _best is null || answer.Error < _best.Error ? answer : _best;
        // Only the last ping asks for the local clock: reading it would lengthen every round trip.
        _best = answer.GuestLocal is null
            ? best
            : best with { GuestLocal = answer.GuestLocal, GuestLocalAtBoot = answer.GuestLocalAtBoot, GuestLocalError = answer.GuestLocalError };
        if (_left > 0)
        {
            next = Next();
        }
        else
        {
            sample = _best;
        }
        return true;
    }

    private Ping Next()
    {
        _left--;
        _awaiting = true;
        _sentRealTime = Sys.Now(Constants.CLOCK_REALTIME);
        _sentMonotonic = Sys.Now(Constants.CLOCK_MONOTONIC);
        return new Ping(++_number, WithLocalClock: _left == 0);
    }
}
