namespace VsockPair.Sessions;

/// <summary>
/// How often one guest may connect. An agent that comes back opens everything at once, perhaps twice, so the burst grows with the connections that the guest's vCPUs
/// need; the rate lets such an agent come back every few seconds. Its guest's lock guards it.
/// </summary>
internal sealed class AcceptBudget(double perSecond, TimeProvider time)
{
    private const int Burst = 20;

    /// <summary>Seconds after which all connections of a guest may be opened once more.</summary>
    private const int ReopenSeconds = 8;

    private int _expected;
    private double _tokens = Burst;
    private long _last = time.GetTimestamp();

    /// <param name="expected">Connections that this guest needs.</param>
    public bool TryTake(int expected)
    {
        if (expected > _expected)
        {
            _tokens += 2 * (expected - _expected);
            _expected = expected;
        }
        long now = time.GetTimestamp();
        double rate = perSecond + (double)_expected / ReopenSeconds;
        _tokens = Math.Min(Burst + 2 * _expected, _tokens + time.GetElapsedTime(_last, now).TotalSeconds * rate);
        _last = now;
        if (_tokens < 1)
        {
            return false;
        }
        _tokens--;
        return true;
    }
}
