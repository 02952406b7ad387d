using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>
/// A few pings one after the other, of which the one with the smallest round trip tells the guest's clocks best. It ends early with an answer as good as this path usually
/// gives: each ping wakes the agent. Its session's lock guards it.
/// </summary>
internal sealed class ClockBurst
{
    private const int FewestPings = 2;
    private const int MostPings = 10;

    /// <summary>An answer within this factor of the best that is usual ends a burst; what is usual grows by as much per burst as <see cref="Forget"/> says.</summary>
    private const double GoodEnough = 1.5;
    private const double Forget = 1.1;

    private ulong _number;
    private int _sent;
    private bool _awaiting;
    private HostClocks _atPing;
    private ClockSample? _best;
    private double _usual;

    /// <summary>A ping is under way. A guest that stands still answers it when it goes on; until then no other is sent.</summary>
    public bool IsRunning => _awaiting;

    /// <summary>Begins a burst, when none is running.</summary>
    public Ping Start()
    {
        _sent = 0;
        _best = null;
        return Next();
    }

    /// <param name="next">The burst goes on with this ping.</param>
    /// <param name="sample">The burst is over, and this is its best answer.</param>
    /// <returns>False when nobody asked for this Pong.</returns>
    public bool Take(in Pong pong, DateTimeOffset now, out Ping? next, out ClockSample? sample)
    {
        long received = Sys.Now(Constants.CLOCK_MONOTONIC);
        next = null;
        sample = null;
        if (!_awaiting || pong.Number != _number)
        {
            return false;
        }
        _awaiting = false;
        // The guest read its clocks between these two readings of ours: half way is at most half the time off.
        long half = (received - _atPing.Monotonic) / 2;
        ClockSample answer = new()
        {
            Time = now,
            HostMonotonic = _atPing.Monotonic + half,
            HostRealTime = _atPing.RealTime + half,
            GuestBoot = pong.Boot,
            GuestRealTime = pong.RealTime,
            Error = half + 1 + _atPing.Skew,
            GuestLocal = pong.Local ?? _best?.GuestLocal,
            GuestLocalAtBoot = pong.LocalAtBoot ?? _best?.GuestLocalAtBoot,
            GuestLocalError = pong.LocalError ?? _best?.GuestLocalError,
        };
        _best = _best is null || answer.Error < _best.Error ? answer : _best;
        if (_sent < MostPings && (_sent < FewestPings || _best.Error > _usual * GoodEnough))
        {
            next = Next();
        }
        else
        {
            sample = _best;
            _usual = _usual == 0 ? _best.Error : Math.Min(_best.Error, _usual * Forget);
        }
        return true;
    }

    private Ping Next()
    {
        _sent++;
        _awaiting = true;
        // Only the first ping asks for the local clock: reading it lengthens a round trip, and the first one, which wakes both sides up, is seldom the best.
        Ping ping = new(++_number, WithLocalClock: _sent == 1);
        _atPing = HostClocks.Now();
        return ping;
    }
}
