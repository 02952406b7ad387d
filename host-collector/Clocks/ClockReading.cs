namespace VsockPair.Clocks;

/// <summary>What one clock showed when another showed something, and by how much that may be wrong. Nanoseconds.</summary>
/// <param name="Error">Never negative; <see cref="Unbounded"/> where nothing is known.</param>
internal readonly record struct ClockReading(long Nanoseconds, long Error)
{
    public const long Unbounded = long.MaxValue;

    /// <summary>For a reading of a host's real-time clock; what lies beyond .NET's calendar is its first or last moment.</summary>
    public DateTimeOffset Time
    {
        get
        {
            long ticks = Nanoseconds / TimeSpan.NanosecondsPerTick;
            return ticks < EarliestTicks ? DateTimeOffset.MinValue
                : ticks > LatestTicks ? DateTimeOffset.MaxValue
                : DateTimeOffset.UnixEpoch.AddTicks(ticks);
        }
    }

    private static long EarliestTicks => DateTimeOffset.MinValue.Ticks - DateTimeOffset.UnixEpoch.Ticks;

    private static long LatestTicks => DateTimeOffset.MaxValue.Ticks - DateTimeOffset.UnixEpoch.Ticks;

    /// <summary>Nanoseconds since the epoch; times that 64 bits cannot hold are the nearest that they can.</summary>
    public static long NanosecondsOf(DateTimeOffset time)
    {
        long ticks = (time - DateTimeOffset.UnixEpoch).Ticks;
        return ticks > long.MaxValue / TimeSpan.NanosecondsPerTick ? long.MaxValue
            : ticks < long.MinValue / TimeSpan.NanosecondsPerTick ? long.MinValue
            : ticks * TimeSpan.NanosecondsPerTick;
    }
}
