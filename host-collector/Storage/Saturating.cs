namespace VsockPair.Storage;

/// <summary>Sums of figures that a guest chose: one that would wrap would make a large loss look small.</summary>
internal static class Saturating
{
    public static ulong Add(ulong a, ulong b) => a > ulong.MaxValue - b ? ulong.MaxValue : a + b;

    /// <summary>Of what is not negative.</summary>
    public static long Add(long a, long b) => a > long.MaxValue - b ? long.MaxValue : a + b;
}
