namespace VsockPair.Clocks;

/// <summary>Neighbouring points between which neither clock jumped.</summary>
internal static class ClockPiece
{
    /// <summary>A rate is measured over at most so many points: 160 s of recording in peace.</summary>
    public const int Window = 16;

    /// <summary>So many of the newest points are tried for a rate: each may have a large error.</summary>
    private const int Anchors = 3;

    /// <summary>
    /// Clocks that drift as these do could not have come to this point. One point of the piece that excludes it is enough: the newest may have too large an error to do so.
    /// </summary>
    /// <param name="piece">By rising <see cref="ClockPoint.From"/>, all below the new point's.</param>
    public static bool Excludes(ReadOnlySpan<ClockPoint> piece, in ClockPoint point)
    {
        ClockRate rate = ClockRate.Unknown;
        for (int i = Math.Max(0, piece.Length - Anchors); i < piece.Length; i++)
        {
            rate = BestRate(piece, i) is ClockRate known && known.Uncertainty < rate.Uncertainty ? known : rate;
        }
        foreach (ref readonly ClockPoint known in piece)
        {
            ClockPoint expected = rate.Carry(known, point.From);
            if (Math.Abs(expected.To - point.To) > expected.Error + point.Error)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>The rate between one of the points and that other which tells it best; null when there is no other.</summary>
    public static ClockRate? BestRate(ReadOnlySpan<ClockPoint> piece, int point)
    {
        ClockRate? best = null;
        for (int i = 0; i < piece.Length; i++)
        {
            if (i == point)
            {
                continue;
            }
            ClockRate rate = ClockRate.Between(piece[Math.Min(i, point)], piece[Math.Max(i, point)]);
            best = best is null || rate.Uncertainty < best.Value.Uncertainty ? rate : best;
        }
        return best;
    }
}
