using VsockPair.Linux;

namespace VsockPair.Storage;

/// <summary>What a dead collector left open of a kernel log: whole records are kept, a torn last one is cut off, the file is closed.</summary>
internal static unsafe class KmsgRecovery
{
    /// <param name="post">Gives the storage thread a file and its closing.</param>
    /// <param name="gap">Called for each gap inside the files that were open: first and last sequence missing.</param>
    /// <param name="beforeClosing">Called before a file is closed: from then on nobody looks for its gaps.</param>
    /// <returns>The first sequence that no file holds.</returns>
    public static ulong Recover(string folder, Action<string, Action> post, Action<ulong, ulong> gap, Action beforeClosing)
    {
        ulong next = 0;
        foreach (string file in Directory.GetFiles(folder, "*" + StorePaths.KmsgSuffix).Order(StringComparer.Ordinal))
        {
            SegmentSummary? sum = SegmentSum.TryRead(file);
            next = sum is not null ? sum.Last + 1 : RecoverOpen(file, next, post, gap, beforeClosing);
        }
        return next;
    }

    public static bool HasOpen(string folder) =>
        Directory.EnumerateFiles(folder, "*" + StorePaths.KmsgSuffix).Any(file => !File.Exists(SegmentSum.PathOf(file)));

    private static ulong RecoverOpen(string file, ulong next, Action<string, Action> post, Action<ulong, ulong> gap, Action beforeClosing)
    {
        // At most KmsgQuota / 4: a file is never longer (StoreLimits).
        ReadOnlySpan<byte> bytes = File.ReadAllBytes(file);
        int at = 0;
        long records = 0;
        ulong first = 0;
        while (at < bytes.Length && KmsgRecord.TryTake(bytes[at..], atEnd: true, out KmsgRecord record, out int length) && record.Sequence is ulong sequence && sequence >= next)
        {
            if (sequence > next)
            {
                gap(next, sequence - 1);
            }
            first = records == 0 ? sequence : first;
            next = sequence + 1;
            records++;
            at += length;
        }
        using (Fd fd = Fd.Own(Sys.Open(file, Constants.O_RDWR), "open", file))
        {
            LinuxException.Check(Sys.Truncate(fd.Value, at), "ftruncate", file);
        }
        if (records == 0)
        {
            File.Delete(file);
            return next;
        }
        ulong last = next - 1;
        beforeClosing();
        post(file, () => Close(file, records, first, last));
        return next;
    }

    private static void Close(string file, long records, ulong first, ulong last)
    {
        using Fd fd = Fd.Own(Sys.Open(file, Constants.O_RDWR), "open", file);
        LinuxException.Check(Sys.Fsync(fd.Value), "fsync", file);
        SegmentSum.Write(file, fd.Value, records, events: 0, first, last);
    }
}
