using VsockPair.History;
using VsockPair.Memory;
using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.Cases;

/// <summary>
/// A case's folder <c>memory/</c>: what a guest's memory held of its rings and nobody had read. <c>cpuN/</c> has segments as the store has them, of sub-buffers as
/// the kernel would have given them; <c>cpuN.json</c> what the ring counted. Nothing in it depends on what the stream had brought when it was written.
/// </summary>
internal static class MemoryTrace
{
    public const string FolderName = "memory";

    /// <summary>Reads the sub-buffers and writes them, or what is there anew.</summary>
    /// <param name="caseFolder">Of the case.</param>
    public static IReadOnlyList<MemoryRing> Write(string caseFolder, IReadOnlyList<RingTail> tails)
    {
        string target = Path.Combine(caseFolder, FolderName);
        string temporary = target + DurableFile.TemporarySuffix;
        Remove(temporary);
        Directory.CreateDirectory(temporary);
        List<MemoryRing> rings = [];
        foreach (RingTail tail in tails)
        {
            string folder = Path.Combine(temporary, StorePaths.StreamName(tail.Vcpu));
            Directory.CreateDirectory(folder);
            MemoryRing ring = Write(folder, tail);
            DurableFile.ReplaceSynced(folder + StorePaths.RingSuffix, ring, CaseJson.Default.MemoryRing);
            rings.Add(ring);
        }
        Remove(target);
        Directory.Move(temporary, target);
        DurableFile.SyncFolder(caseFolder);
        return rings;
    }

    /// <summary>The rings that are there, by vCPU, each with its segments.</summary>
    public static IReadOnlyList<(MemoryRing Ring, SegmentFile[] Segments)> Read(string caseFolder)
    {
        string folder = Path.Combine(caseFolder, FolderName);
        return !Directory.Exists(folder) ? [] :
        [
            .. Directory.EnumerateFiles(folder, "*" + StorePaths.RingSuffix)
                .Select(file => DurableFile.TryRead(file, CaseJson.Default.MemoryRing)).OfType<MemoryRing>()
                .Where(ring => ring.Vcpu >= 0).OrderBy(ring => ring.Vcpu)
                .Select(ring => (ring, SegmentFile.FindAll(Path.Combine(folder, StorePaths.StreamName(ring.Vcpu))))),
        ];
    }

    private static MemoryRing Write(string folder, RingTail tail)
    {
        byte[] slot = new byte[tail.SubBufferBytes];
        byte[] rest = new byte[tail.SubBufferBytes];
        EventLoss pending = default;
        long events = 0;
        FileStream? file = null;
        try
        {
            for (int i = 0; i < tail.Count; i++)
            {
                RingSlot read = tail.TryRead(i, slot);
                pending = pending.And(read.Loss);
                int count = read.State == RingSlotState.Filled ? CountEvents(slot) : 0;
                if (count == 0)
                {
                    continue;
                }
                events += count;
                file ??= new FileStream(
                    Path.Combine(folder, StorePaths.SegmentName(new SubBuffer(slot).TimeStamp, slot.Length)), FileMode.CreateNew, FileAccess.Write, FileShare.Read);
                bool split = pending.Any && SubBufferCut.MarkLoss(slot, pending.Events, rest);
                pending = default;
                WriteSlot(file, slot);
                if (split)
                {
                    WriteSlot(file, rest);
                }
            }
            pending = pending.And(tail.LossAtEnd);
            file?.Flush(flushToDisk: true);
        }
        finally
        {
            file?.Dispose();
        }
        return new MemoryRing
        {
            Vcpu = tail.Vcpu,
            SubBufferBytes = tail.SubBufferBytes,
            Events = events,
            LostAtEnd = pending.Any ? (long?)pending.Events : 0,
            Complete = tail.Fault is null,
            Entries = tail.Counters.Entries,
            ReadEvents = tail.Counters.Read,
            Overrun = tail.Counters.Overrun,
            CommitOverrun = tail.Counters.CommitOverrun,
            DroppedEvents = tail.Counters.DroppedEvents,
        };
    }

    private static int CountEvents(ReadOnlySpan<byte> slot)
    {
        // A sub-buffer with a fault in the middle has the events before it.
        SubBufferEvents.TryCount(slot.Slice(SubBuffer.HeaderBytes, new SubBuffer(slot).DataBytes), out int count);
        return count;
    }

    /// <summary>What is not used of a slot is a hole.</summary>
    private static void WriteSlot(FileStream file, ReadOnlySpan<byte> slot)
    {
        long end = file.Length + slot.Length;
        file.Position = file.Length;
        file.Write(slot[..new SubBuffer(slot).UsedBytes]);
        file.SetLength(end);
    }

    private static void Remove(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}

/// <summary><c>cases/ID/memory/cpuN.json</c>: one ring in a guest's memory. Its counters are the guest's.</summary>
internal sealed record MemoryRing
{
    public required int Vcpu { get; init; }

    public required int SubBufferBytes { get; init; }

    /// <summary>Unread ones, in the segments.</summary>
    public required long Events { get; init; }

    /// <summary>Unread events after those that could not be read out of the memory; null when their number is unknown.</summary>
    public required long? LostAtEnd { get; init; }

    /// <summary>Whether all unread pages were found. A page that was found and could not be read is a loss between its neighbours.</summary>
    public required bool Complete { get; init; }

    /// <summary>Events written over the ring's life.</summary>
    public required ulong Entries { get; init; }

    public required ulong ReadEvents { get; init; }

    public required ulong Overrun { get; init; }

    public required ulong CommitOverrun { get; init; }

    public required ulong DroppedEvents { get; init; }

    public ulong LostEvents => Saturating.Add(Saturating.Add(Overrun, CommitOverrun), DroppedEvents);

    /// <summary>
    /// Events that left the ring and its memory. A reader counts them a moment before it takes them: one that was stopped in between has its events both counted and still
    /// in the ring, where they were found. A writer counts an event a moment before it is there, so that the difference the other way says nothing.
    /// </summary>
    public ulong TakenEvents
    {
        get
        {
            ulong gone = Saturating.Add(Overrun, (ulong)Math.Max(0, Events));
            return Complete && gone <= Entries ? Math.Min(ReadEvents, Entries - gone) : ReadEvents;
        }
    }
}
