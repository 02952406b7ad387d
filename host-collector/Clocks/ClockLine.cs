namespace VsockPair.Clocks;

/// <summary>
/// One clock on another: straight lines between neighbouring points, and pieces where it jumped. When within the interval it jumped nobody saw; there the older line
/// holds up to the next point, and the error covers the newer one too. Total: any reading gives one, whatever points a guest has made up.
/// </summary>
internal sealed class ClockLine
{
    private readonly ClockPoint[] _points;
    private readonly bool[] _begins;
    private readonly ClockRate[] _rates;
    private readonly long[] _from;

    /// <summary>Highest <see cref="ClockPoint.To"/> up to each point: a clock that was set back shows some readings twice.</summary>
    private readonly long[] _highest;

    /// <param name="points">By rising <see cref="ClockPoint.From"/>.</param>
    /// <param name="begins">This point begins a piece.</param>
    /// <param name="rates">Around each point.</param>
    public ClockLine(ClockPoint[] points, bool[] begins, ClockRate[] rates)
    {
        _points = points;
        _begins = begins;
        _rates = rates;
        _from = [.. points.Select(p => p.From)];
        _highest = new long[points.Length];
        long highest = long.MinValue;
        for (int i = 0; i < points.Length; i++)
        {
            _highest[i] = highest = Math.Max(highest, points[i].To);
        }
    }

    public bool IsEmpty => _points.Length == 0;

    public IReadOnlyList<ClockPoint> Points => _points;

    /// <summary>Of the newest piece.</summary>
    public ClockRate Rate => IsEmpty ? ClockRate.Unknown : _rates[^1];

    public bool BeginsPiece(int point) => _begins[point];

    /// <summary>Where the line broke, oldest first: the first point after each jump, and how far the second clock jumped ahead (back if negative).</summary>
    public IEnumerable<(ClockPoint After, long Jump)> Jumps
    {
        get
        {
            for (int i = 1; i < _points.Length; i++)
            {
                if (_begins[i])
                {
                    yield return (_points[i], _points[i].To - _rates[i - 1].Carry(_points[i - 1], _points[i].From).To);
                }
            }
        }
    }

    /// <summary>What the second clock showed when the first showed this. Not for an empty line.</summary>
    public ClockReading At(long from)
    {
        from = Math.Clamp(from, 0, ClockPoint.FromLimit);
        int next = FirstPointAfter(from);
        if (next == 0)
        {
            return Reading(Carry(0, from));
        }
        ClockPoint left = Carry(next - 1, from);
        if (next == _points.Length || left.From == _points[next - 1].From)
        {
            return Reading(left);
        }
        return _begins[next] ? Either(left, Carry(next, from)) : Between(_points[next - 1], _points[next], from);
    }

    /// <summary>What the first clock showed when the second showed this; the first time, if it did so twice; the end of the gap, if it never did.</summary>
    public long FromAt(long to)
    {
        to = Math.Clamp(to, 0, ClockPoint.ToLimit);
        int next = FirstAfter(_highest, to);
        if (next == 0)
        {
            return CarryBack(0, to);
        }
        ClockPoint before = _points[next - 1];
        if (next == _points.Length)
        {
            return Math.Max(CarryBack(next - 1, to), before.From);
        }
        ClockPoint after = _points[next];
        long from = _begins[next] || after.To <= before.To
            ? CarryBack(next - 1, to)
            : before.From + (long)((double)(to - before.To) / (after.To - before.To) * (after.From - before.From));
        return Math.Clamp(from, before.From, after.From);
    }

    /// <summary>Index of the first point above this reading of the first clock; the number of points if there is none.</summary>
    public int FirstPointAfter(long from) => FirstAfter(_from, from);

    private static ClockReading Reading(in ClockPoint point) => new(point.To, point.Error);

    private static ClockReading Either(in ClockPoint left, in ClockPoint right) =>
        new(left.To, Math.Max(left.Error, Math.Abs(right.To - left.To) + right.Error));

    private static ClockReading Between(in ClockPoint a, in ClockPoint b, long from)
    {
        double share = (double)(from - a.From) / (b.From - a.From);
        long drift = b.To - a.To - (b.From - a.From);
        long nearest = Math.Min(from - a.From, b.From - from);
        return new ClockReading(
            a.To + (from - a.From) + (long)(drift * share),
            a.Error + (long)((b.Error - a.Error) * share) + (long)(nearest * ClockRate.Wander) + ClockRate.Rounding);
    }

    private ClockPoint Carry(int point, long from) => _rates[point].Carry(_points[point], from);

    private long CarryBack(int point, long to) =>
        _points[point].From + (long)((to - _points[point].To) / (1 + _rates[point].Drift));

    private static int FirstAfter(long[] rising, long reading)
    {
        int low = 0;
        int high = rising.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = rising[middle] <= reading ? (middle + 1, high) : (low, middle);
        }
        return low;
    }
}
