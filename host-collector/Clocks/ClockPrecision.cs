namespace VsockPair.Clocks;

/// <summary>How well a line is known over a stretch. Nanoseconds.</summary>
/// <param name="Error">Largest, where no jump is near.</param>
/// <param name="Doubtful">Sum of the intervals in which a jump lies: what was before it and what after nobody saw.</param>
/// <param name="DoubtfulError">Largest in those.</param>
internal readonly record struct ClockPrecision(long Error, long Doubtful, long DoubtfulError)
{
    public static ClockPrecision Of(ClockLine line, long from, long to)
    {
        ClockPrecision all = default;
        long left = from;
        for (int i = line.FirstPointAfter(from); i < line.Points.Count && line.Points[i].From < to; i++)
        {
            all = all.With(line, left, line.Points[i].From - 1, isDoubtful: i > 0 && line.BeginsPiece(i));
            left = line.Points[i].From;
        }
        int next = line.FirstPointAfter(left);
        return all.With(line, left, to, isDoubtful: next > 0 && next < line.Points.Count && line.BeginsPiece(next));
    }

    // Within an interval the error is largest at an end or half way.
    private ClockPrecision With(ClockLine line, long from, long to, bool isDoubtful)
    {
        long error = Math.Max(line.At(from + (to - from) / 2).Error, Math.Max(line.At(from).Error, line.At(to).Error));
        return isDoubtful
            ? this with { Doubtful = Doubtful + to - from + 1, DoubtfulError = Math.Max(DoubtfulError, error) }
            : this with { Error = Math.Max(Error, error) };
    }
}
