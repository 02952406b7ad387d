using System.Runtime.InteropServices;

namespace VsockPair.Clocks;

/// <summary>
/// Makes a <see cref="ClockLine"/> of points in the order in which they were measured. A point that the piece so far excludes, with its error and the drift that
/// clocks have, begins a new piece: the guest was paused, restored, migrated or suspended, or a clock was set. A point with a large error is moved to where its better
/// neighbours see it, so it bends nothing. Time and memory are linear whatever the points are.
/// </summary>
internal sealed class ClockLineBuilder
{
    private readonly List<ClockPoint> _points = [];
    private readonly List<bool> _begins = [];

    public ClockLine Build(IEnumerable<ClockPoint> points)
    {
        foreach (ClockPoint point in points)
        {
            if (point.IsPlausible)
            {
                Add(point);
            }
        }
        ClockRate[] rates = new ClockRate[_points.Count];
        for (int first = 0; first < _points.Count;)
        {
            int end = PieceEnd(first);
            Rate(first, end, rates);
            Refine(first, end, rates);
            first = end;
        }
        return new ClockLine([.. _points], [.. _begins], rates);
    }

    private void Add(in ClockPoint point)
    {
        // The first clock went back, as after a restored snapshot: the newer life has its readings from here on.
        bool back = false;
        while (_points.Count > 0 && _points[^1].From >= point.From)
        {
            back = true;
            _points.RemoveAt(_points.Count - 1);
            _begins.RemoveAt(_begins.Count - 1);
        }
        bool begins = back || _points.Count == 0 || ClockPiece.Excludes(Newest(), point);
        _points.Add(point);
        _begins.Add(begins);
    }

    /// <summary>The last points of the piece, which tell its rate.</summary>
    private ReadOnlySpan<ClockPoint> Newest()
    {
        int first = _points.Count - 1;
        while (!_begins[first] && _points.Count - first < ClockPiece.Window)
        {
            first--;
        }
        return CollectionsMarshal.AsSpan(_points)[first..];
    }

    private int PieceEnd(int first)
    {
        int end = first + 1;
        while (end < _points.Count && !_begins[end])
        {
            end++;
        }
        return end;
    }

    private void Rate(int first, int end, ClockRate[] rates)
    {
        for (int i = first; i < end; i++)
        {
            // A piece of one point goes on as the one before it did, which a pause or a step of the host's clock does not change.
            ClockRate before = first > 0 ? rates[first - 1] with { Uncertainty = ClockRate.Most } : ClockRate.Unknown;
            int from = Math.Max(first, i - ClockPiece.Window);
            int to = Math.Min(end, i + ClockPiece.Window + 1);
            rates[i] = ClockPiece.BestRate(CollectionsMarshal.AsSpan(_points)[from..to], i - from) ?? before;
        }
    }

    /// <summary>From both sides: where a neighbour, carried here, is more certain than the point itself, that is the point.</summary>
    private void Refine(int first, int end, ClockRate[] rates)
    {
        for (int i = first + 1; i < end; i++)
        {
            RefineFrom(i - 1, i, rates);
        }
        for (int i = end - 2; i >= first; i--)
        {
            RefineFrom(i + 1, i, rates);
        }
    }

    private void RefineFrom(int neighbour, int point, ClockRate[] rates)
    {
        ClockPoint carried = rates[neighbour].Carry(_points[neighbour], _points[point].From);
        if (carried.Error < _points[point].Error)
        {
            _points[point] = carried;
            rates[point] = rates[neighbour];
        }
    }
}
