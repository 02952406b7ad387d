namespace VsockPair.Clocks;

/// <summary>When clock <paramref name="From"/> showed this, clock <paramref name="To"/> showed that, give or take <paramref name="Error"/>. Nanoseconds.</summary>
internal readonly record struct ClockPoint(long From, long To, long Error)
{
    /// <summary>Of <see cref="From"/>, a clock that begins with the boot: 36 years. With <see cref="ToLimit"/> sums and differences of a few fit into 64 bits.</summary>
    public const long FromLimit = 1L << 60;

    /// <summary>Nanoseconds since the epoch up to the year 2116.</summary>
    public const long ToLimit = 1L << 62;

    /// <summary>A guest may answer anything; what no clock can show is left out.</summary>
    public bool IsPlausible => From is >= 0 and < FromLimit && To is >= 0 and < ToLimit && Error is >= 0 and < FromLimit / 2;
}
