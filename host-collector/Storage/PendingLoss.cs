namespace VsockPair.Storage;

/// <summary>
/// Events of one source that are lost and not in the ledger yet. They are in memory alone, which is enough: what the ledger lacks after a kill follows again from the
/// next figures heard. Its stream's lock guards it.
/// </summary>
internal sealed class PendingLoss(string source, string stream)
{
    private ulong _events;
    private ulong? _after;

    public bool IsEmpty => _events == 0;

    /// <param name="after">Trace clock of the last sub-buffer stored before them, as far as that is known: where they lie when the stream goes on.</param>
    public void Add(ulong events, ulong? after = null)
    {
        _after ??= events > 0 ? after : null;
        _events += events;
    }

    /// <returns>Whether a line was written.</returns>
    public bool TryWrite(BootStore boot, bool stopping)
    {
        if (_events == 0 || !boot.TryDeclare(new LossRecord { Time = boot.Now, Source = source, Stream = stream, First = _after, Events = (long)Math.Min(_events, long.MaxValue) }, stopping))
        {
            return false;
        }
        _events -= Math.Min(_events, long.MaxValue);
        _after = null;
        return true;
    }
}
