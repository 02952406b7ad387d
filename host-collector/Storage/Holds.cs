namespace VsockPair.Storage;

/// <summary>Who uses a boot: while anybody does it is neither let go of nor removed, and once it is, nobody can any more. Any thread, also a loop's: its lock waits for no disk.</summary>
internal sealed class Holds
{
    private readonly Lock _gate = new();
    private int _count;
    private bool _retired;
    private long _goneAt = Environment.TickCount64;

    /// <returns>False when the boot has been let go of: another object may stand for its folder by now, or the folder is gone.</returns>
    public bool TryTake()
    {
        lock (_gate)
        {
            _count += _retired ? 0 : 1;
            return !_retired;
        }
    }

    public void Return()
    {
        lock (_gate)
        {
            _count--;
            _goneAt = Environment.TickCount64;
        }
    }

    public bool AreGoneFor(TimeSpan time)
    {
        lock (_gate)
        {
            return _count == 0 && Environment.TickCount64 - _goneAt >= time.TotalMilliseconds;
        }
    }

    /// <summary>From here on nobody can take one.</summary>
    /// <returns>False while somebody has one.</returns>
    public bool TryRetire()
    {
        lock (_gate)
        {
            return _retired = _count == 0;
        }
    }

    public void Reinstate()
    {
        lock (_gate)
        {
            _retired = false;
        }
    }
}
