using System.Text;
using VsockPair.Clocks;
using VsockPair.Commands;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Cases;

/// <summary>
/// <c>kmsg.txt</c>: the kernel log of the boot that died as its agent sent it, in host time, with the losses where they were; and behind it what the kernel had still logged,
/// where its memory or its crash record tells it.
/// </summary>
internal static class KmsgPart
{
    /// <exception cref="MissingPartException">Nothing of it is stored.</exception>
    /// <param name="parts">Already there, among them the memory's log and the crash records.</param>
    public static PartContent Write(CaseSource source, IReadOnlyList<CasePart> parts, Stream target, CancellationToken stop)
    {
        StoredBoot boot = source.Dead ?? throw new MissingPartException(source.NoBootReason);
        using StreamWriter text = new(target, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
        using KmsgLog log = new(boot);
        long skipped = log.SkipAllBut(source.Limits.KmsgBytes);
        string command = $"vsockpair kmsg {source.Event.Guest} -b {boot.Name}";
        if (skipped > 0)
        {
            text.WriteLine($"-- the first {Units.Bytes(skipped)} of this log are left out here: {command} --");
        }
        CountingPrinter printer = new(new KmsgTextPrinter(text, namesBoots: true, colours: false, hostTimes: true), stop);
        // A log whose beginning is left out has no gap there.
        long from = skipped > 0 ? 1 : 0;
        log.ReadOn(new KmsgChoice(printer, boot, source.Clock, from, long.MaxValue, KmsgChoice.RemovedUpTo(source.Guest!, boot, source.Remarks)), settled: true);
        if (printer.Records == 0)
        {
            throw new MissingPartException($"no kernel log of boot {boot.Name} is stored");
        }
        string? tail = source.StreamIsWhole ? null : WriteTail(source, parts, printer.Newest, text);
        text.Flush();
        string?[] lacks =
        [
            skipped > 0 ? $"its first {Units.Bytes(skipped)} are left out ({command})" : null,
            printer.Lost > 0 ? $"{Units.Count(printer.Lost)} records were lost or removed" : null,
            printer.DamagedBytes > 0 ? $"{Units.Bytes(printer.DamagedBytes)} are no records" : null,
            source.StreamIsWhole || tail is not null ? null : "what the kernel logged after its agent sent the last line is not in it",
        ];
        return new PartContent(tail is null ? PartContent.FromStream : $"{PartContent.FromStream}+{tail}", lacks.All(l => l is null) ? null : string.Join("; ", lacks.OfType<string>()));
    }

    /// <returns>Where it is from; null when nothing tells how the log went on.</returns>
    private static string? WriteTail(CaseSource source, IReadOnlyList<CasePart> parts, long after, TextWriter text)
    {
        if (LogTail.Find(source, parts, after) is not (string from, IReadOnlyList<(long Nanoseconds, byte[] Line)> lines))
        {
            return null;
        }
        text.WriteLine($"-- from here on out of {(from == PartContent.FromMemory ? CasePaths.Dmesg : CasePaths.Pstore + "/")} --");
        foreach ((long nanoseconds, byte[] line) in lines)
        {
            text.WriteLine(KmsgTextPrinter.HostTime(source.Clock, nanoseconds) + TerminalText.Escape(line));
        }
        return from;
    }

    private sealed class CountingPrinter(IKmsgPrinter printer, CancellationToken stop) : IKmsgPrinter
    {
        public long Records { get; private set; }

        public long Newest { get; private set; }

        public long Lost { get; private set; }

        public long DamagedBytes { get; private set; }

        public void Boot(StoredBoot boot, ClockModel? clock) => printer.Boot(boot, clock);

        public void Record(in KmsgRecord record)
        {
            stop.ThrowIfCancellationRequested();
            Records++;
            Newest = Math.Max(Newest, record.Nanoseconds);
            printer.Record(record);
        }

        public void Gap(ulong first, ulong last, ulong removed)
        {
            Lost = Saturating.Add(Lost, (long)Math.Min(last - first, long.MaxValue - 1) + 1);
            printer.Gap(first, last, removed);
        }

        public void Damaged(long bytes)
        {
            DamagedBytes += bytes;
            printer.Damaged(bytes);
        }
    }
}
