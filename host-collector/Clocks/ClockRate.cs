namespace VsockPair.Clocks;

/// <summary>How much faster than 1 one clock runs on another, and how wrong that may be. 1e-6 is 1 ppm.</summary>
internal readonly record struct ClockRate(double Drift, double Uncertainty)
{
    /// <summary>
    /// Two clocks that nothing is known of yet. NTP may slew each by 500 ppm (adjtimex(2)), and a guest's own calibration of its counter adds to that.
    /// </summary>
    public const double Most = 2000e-6;

    /// <summary>How far a rate strays between samples: temperature, and what NTP corrects.</summary>
    public const double Wander = 20e-6;

    /// <summary>Nanoseconds that are lost where a reading and its error are cut to whole ones.</summary>
    public const long Rounding = 2;

    public static ClockRate Unknown => new(0, Most);

    /// <summary>The rate that two points of one piece show, as far as clocks can have it.</summary>
    public static ClockRate Between(in ClockPoint a, in ClockPoint b)
    {
        double span = b.From - a.From;
        double drift = (b.To - a.To - span) / span;
        double uncertainty = ((double)a.Error + b.Error) / span;
        double slowest = Math.Clamp(drift - uncertainty, -Most, Most);
        double fastest = Math.Clamp(drift + uncertainty, -Most, Most);
        return new ClockRate((slowest + fastest) / 2, (fastest - slowest) / 2);
    }

    /// <summary>What a point shows, carried to another reading of the first clock.</summary>
    public ClockPoint Carry(in ClockPoint point, long from)
    {
        double span = (double)from - point.From;
        return new ClockPoint(from, point.To + (from - point.From) + (long)(span * Drift), point.Error + (long)(Math.Abs(span) * (Uncertainty + Wander)) + Rounding);
    }
}
