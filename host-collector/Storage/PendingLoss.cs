namespace VsockPair.Storage;

/// <summary>
/// Events of one source that are lost and not in the ledger yet. They are in memory alone, which is enough: what the ledger lacks after a kill follows again from the
/// next figures heard. Its stream's lock guards it.
/// </summary>
internal sealed class PendingLoss(string source, string stream)
{
    private ulong _events;

    public bool IsEmpty => _events == 0;

    public void Add(ulong events) => _events += events;

    /// <returns>Whether a line was written.</returns>
    public bool TryWrite(BootStore boot, bool stopping)
    {
        if (_events == 0 || !boot.TryDeclare(new LossRecord { Time = boot.Now, Source = source, Stream = stream, Events = (long)Math.Min(_events, long.MaxValue) }, stopping))
        {
            return false;
        }
        _events -= Math.Min(_events, long.MaxValue);
        return true;
    }
}
