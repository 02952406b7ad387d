namespace VsockPair.HostCollector.Tests.Sessions;

/// <summary>Stands still until a test moves it.</summary>
internal sealed class SteppedClock : TimeProvider
{
    private long _now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now;

    public void Advance(TimeSpan time) => _now += time.Ticks;
}
