namespace VsockPair.Storage;

/// <summary>Bytes and events of the last ten seconds. One thread adds at a time; one samples, each second.</summary>
internal sealed class RateMeter
{
    private const int Seconds = 10;

    private readonly (long Bytes, long Events)[] _samples = new (long, long)[Seconds + 1];
    private int _taken;
    private long _bytes;
    private long _events;

    public long TotalBytes => Volatile.Read(ref _bytes);

    public void Add(long bytes, long events)
    {
        Volatile.Write(ref _bytes, _bytes + bytes);
        Volatile.Write(ref _events, _events + events);
    }

    public void Sample()
    {
        lock (_samples)
        {
            _samples[_taken++ % _samples.Length] = (Volatile.Read(ref _bytes), Volatile.Read(ref _events));
        }
    }

    public (double BytesPerSecond, double EventsPerSecond) Average
    {
        get
        {
            lock (_samples)
            {
                int span = Math.Min(_taken - 1, Seconds);
                if (span <= 0)
                {
                    return (0, 0);
                }
                (long Bytes, long Events) newest = _samples[(_taken - 1) % _samples.Length];
                (long Bytes, long Events) oldest = _samples[(_taken - 1 - span) % _samples.Length];
                return ((newest.Bytes - oldest.Bytes) / (double)span, (newest.Events - oldest.Events) / (double)span);
            }
        }
    }
}
