using VsockPair.Linux;
using VsockPair.Tracing;

namespace VsockPair.Storage;

/// <summary>What a dead collector left open: whole slots are kept and counted, what follows the last of them is cut off, and the file is closed.</summary>
internal static unsafe class SegmentRecovery
{
    /// <summary>Events of all segments in a stream's folder. Those left open are made ready to be closed, which is the storage thread's work.</summary>
    /// <param name="post">Gives that thread a file and its closing.</param>
    public static ulong Recover(string folder, Action<string, Action> post)
    {
        ulong events = 0;
        foreach (string file in Directory.GetFiles(folder, "*" + StorePaths.SegmentSuffix))
        {
            if (StorePaths.TryParseSegmentName(Path.GetFileName(file), out _, out int subBufferBytes) && subBufferBytes > 0)
            {
                SegmentSummary? sum = SegmentSum.TryRead(file);
                events += (ulong)(sum?.Events ?? RecoverOpen(file, subBufferBytes, post));
            }
        }
        return events;
    }

    public static bool HasOpen(string folder) =>
        Directory.EnumerateFiles(folder, "*" + StorePaths.SegmentSuffix).Any(file => !File.Exists(SegmentSum.PathOf(file)));

    private static long RecoverOpen(string file, int subBufferBytes, Action<string, Action> post)
    {
        using Fd fd = Fd.Own(Sys.Open(file, Constants.O_RDWR), "open", file);
        long slots = new FileInfo(file).Length / subBufferBytes;
        LinuxException.Check(Sys.Truncate(fd.Value, slots * subBufferBytes), "ftruncate", file);
        if (slots == 0)
        {
            File.Delete(file);
            return 0;
        }
        long events = 0;
        ulong first = 0;
        ulong last = 0;
        byte[] slot = GC.AllocateUninitializedArray<byte>(subBufferBytes, pinned: true);
        fixed (byte* p = slot)
        {
            for (long i = 0; i < slots; i++)
            {
                LinuxException.Check(Sys.PRead(fd.Value, p, subBufferBytes, i * subBufferBytes), "read", file);
                SubBuffer header = new(slot);
                last = header.TimeStamp;
                first = i == 0 ? last : first;
                // A slot was cut from a valid stream, so only a damaged disk can make it not fit.
                if (header.FitsInto(subBufferBytes))
                {
                    SubBufferEvents.TryCount(slot.AsSpan(SubBuffer.HeaderBytes, header.DataBytes), out int count);
                    events += count;
                }
            }
        }
        post(file, () => Close(file, slots, events, first, last));
        return events;
    }

    private static void Close(string file, long slots, long events, ulong first, ulong last)
    {
        using Fd fd = Fd.Own(Sys.Open(file, Constants.O_RDWR), "open", file);
        LinuxException.Check(Sys.Fsync(fd.Value), "fsync", file);
        SegmentSum.Write(file, fd.Value, slots, events, first, last);
    }
}
