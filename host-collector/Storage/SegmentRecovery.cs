using System.Security.Cryptography;
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
        foreach (string file in SegmentForms.In(folder).ToArray())
        {
            if (StorePaths.TryParseSegmentName(Path.GetFileName(file), out _, out int subBufferBytes) && subBufferBytes > 0)
            {
                SegmentSummary? sum = SegmentSum.TryRead(file);
                events += (ulong)(sum?.Events ?? (File.Exists(file) ? RecoverOpen(file, subBufferBytes, post) : RecoverCompressed(file, subBufferBytes)));
            }
        }
        return events;
    }

    public static bool HasOpen(string folder) =>
        Directory.EnumerateFiles(folder, "*" + StorePaths.SegmentSuffix).Any(file => !File.Exists(SegmentSum.PathOf(file)));

    private static long RecoverOpen(string file, int subBufferBytes, Action<string, Action> post)
    {
        using Fd fd = Fd.Own(Sys.Open(file, Constants.O_RDWR), "open", file);
        long slots = WrittenSlots(fd, file, subBufferBytes);
        LinuxException.Check(Sys.Truncate(fd.Value, slots * subBufferBytes), "ftruncate", file);
        if (slots == 0)
        {
            File.Delete(file);
            return 0;
        }
        Tally tally = Count(fd, file, slots, subBufferBytes);
        post(file, () => Close(file, tally));
        return tally.Events;
    }

    /// <summary>Closes a segment that came whole, as a file.</summary>
    /// <returns>False when it holds what can be no sub-buffer; nothing has changed then.</returns>
    public static bool TryClose(string file, int subBufferBytes)
    {
        Tally tally;
        using (Fd fd = Fd.Own(Sys.Open(file, Constants.O_RDONLY), "open", file))
        {
            tally = Count(fd, file, new FileInfo(file).Length / subBufferBytes, subBufferBytes);
        }
        if (tally.Unfit > 0)
        {
            return false;
        }
        Close(file, tally);
        return true;
    }

    private static Tally Count(Fd fd, string file, long slots, int subBufferBytes)
    {
        Tally tally = new();
        byte[] slot = GC.AllocateUninitializedArray<byte>(subBufferBytes, pinned: true);
        fixed (byte* p = slot)
        {
            for (long i = 0; i < slots; i++)
            {
                LinuxException.Check(Sys.PRead(fd.Value, p, subBufferBytes, i * subBufferBytes), "read", file);
                tally.Add(slot);
            }
        }
        return tally;
    }

    /// <summary>After a power loss a file may have its new size and not what was written there: slots of zeros at its end were never more than room for a tail.</summary>
    private static long WrittenSlots(Fd fd, string file, int subBufferBytes)
    {
        long slots = new FileInfo(file).Length / subBufferBytes;
        byte* header = stackalloc byte[SubBuffer.HeaderBytes];
        while (slots > 0)
        {
            LinuxException.Check(Sys.PRead(fd.Value, header, SubBuffer.HeaderBytes, (slots - 1) * subBufferBytes), "read", file);
            if (new ReadOnlySpan<byte>(header, SubBuffer.HeaderBytes).ContainsAnyExcept((byte)0))
            {
                break;
            }
            slots--;
        }
        return slots;
    }

    /// <summary>A compressed segment was closed: only a disk that has damaged its sidecar brings it here. If it is damaged as well, its events are lost, and the account finds that out.</summary>
    private static long RecoverCompressed(string segment, int subBufferBytes)
    {
        try
        {
            using CompressedSegment? compressed = CompressedSegment.TryOpen(SegmentForms.CompressedPath(segment), subBufferBytes);
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            Tally tally = new();
            byte[] slot = new byte[subBufferBytes];
            for (long at = 0; compressed?.Read(at, slot) == slot.Length; at += slot.Length)
            {
                tally.Add(slot);
                hash.AppendData(slot);
            }
            SegmentSum.Write(segment, hash.GetHashAndReset(), tally.Slots, tally.Events, tally.First, tally.Last, bytes: null);
            return tally.Events;
        }
        catch (DamagedSegmentException)
        {
            return 0;
        }
    }

    private static void Close(string file, Tally tally)
    {
        using Fd fd = Fd.Own(Sys.Open(file, Constants.O_RDWR), "open", file);
        LinuxException.Check(Sys.Fsync(fd.Value), "fsync", file);
        SegmentSum.Write(file, fd.Value, tally.Slots, tally.Events, tally.First, tally.Last);
    }

    /// <summary>What a sidecar says of its segment, slot by slot.</summary>
    private struct Tally
    {
        public long Slots;
        public long Events;
        public long Unfit;
        public ulong First;
        public ulong Last;

        public void Add(ReadOnlySpan<byte> slot)
        {
            SubBuffer header = new(slot);
            // One of zeros was lost in a power loss: it has no time.
            Last = header.TimeStamp == 0 ? Last : header.TimeStamp;
            First = Slots++ == 0 ? Last : First;
            // A slot was cut from a valid stream, so only a damaged disk can make it not fit.
            if (header.FitsInto(slot.Length))
            {
                SubBufferEvents.TryCount(slot.Slice(SubBuffer.HeaderBytes, header.DataBytes), out int count);
                Events += count;
            }
            else
            {
                Unfit++;
            }
        }
    }
}
