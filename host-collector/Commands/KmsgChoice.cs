using VsockPair.Clocks;
using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>Passes on the records of one boot that lie in a range of the guest's own clock, and the gaps between them.</summary>
/// <param name="removedUpTo">Highest sequence that retention removed.</param>
internal sealed class KmsgChoice(IKmsgPrinter printer, StoredBoot boot, ClockModel? clock, long from, long to, ulong? removedUpTo) : IKmsgSink
{
    /// <summary>Records of several CPUs may stand a little out of order; beyond this none of the range follows.</summary>
    public const long Disorder = 1_000_000_000;

    private ulong _next;

    public int Shown { get; private set; }

    /// <summary>Records of this boot that were stored and that retention removed, oldest first: their highest sequence, or null.</summary>
    public static ulong? RemovedUpTo(StoredGuest guest, StoredBoot boot, TextWriter remarks) =>
        LossLedger.Read(StorePaths.Losses(guest.Folder), remarks).Where(l => l.Boot == boot.Name && l.Stream == KmsgStream.Name).Max(l => l.Last);

    public bool Take(in KmsgRecord record)
    {
        ulong next = _next;
        _next = record.Sequence + 1;
        if (record.Nanoseconds < from)
        {
            return true;
        }
        if (record.Nanoseconds > to)
        {
            return record.Nanoseconds - to < Disorder;
        }
        Begin();
        bool leadsIn = Shown == 1 && from > 0 && next == 0;
        if (record.Sequence > next && !leadsIn)
        {
            ulong removed = removedUpTo >= next ? Math.Min(removedUpTo.Value, record.Sequence - 1) - next + 1 : 0;
            printer.Gap(next, record.Sequence - 1, removed);
        }
        printer.Record(record);
        return true;
    }

    public void TakeDamaged(long bytes)
    {
        Begin();
        printer.Damaged(bytes);
    }

    private void Begin()
    {
        if (Shown++ == 0)
        {
            printer.Boot(boot, clock);
        }
    }
}
