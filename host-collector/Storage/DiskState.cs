namespace VsockPair.Storage;

/// <summary>Whether the disk takes trace data. Set by the first write that fails and by housekeeping; only housekeeping clears it.</summary>
internal sealed class DiskState
{
    private volatile bool _full;

    public bool IsFull => _full;

    public void ReportFull() => _full = true;

    public void Set(bool full) => _full = full;
}
