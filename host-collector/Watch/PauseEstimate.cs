namespace VsockPair.Watch;

/// <summary>How long a guest stands still while all of its memory is written. What dumps on this host took, for another guest as well; an assumption until the first.</summary>
internal sealed class PauseEstimate
{
    /// <summary>QEMU compresses in one thread. A 512 MB guest took 1.0 to 1.4 s, most of its pages being empty.</summary>
    private const double AssumedBytesPerSecond = 256 << 20;

    /// <summary>A small dump says little about a large one.</summary>
    private const long LeastBytes = 64 << 20;

    private readonly Lock _gate = new();
    private double _bytesPerSecond = AssumedBytesPerSecond;

    public TimeSpan Of(long bytes)
    {
        lock (_gate)
        {
            return TimeSpan.FromSeconds(Math.Min(bytes / _bytesPerSecond, TimeSpan.FromDays(1).TotalSeconds));
        }
    }

    /// <summary>Halfway to what was measured: one guest's memory compresses better than another's.</summary>
    public void Learn(long bytes, TimeSpan took)
    {
        if (bytes >= LeastBytes && took > TimeSpan.Zero)
        {
            lock (_gate)
            {
                _bytesPerSecond = (_bytesPerSecond + bytes / took.TotalSeconds) / 2;
            }
        }
    }
}
