using System.Buffers.Binary;
using VsockPair.History;
using VsockPair.Tracing;

namespace VsockPair.Memory;

/// <summary>
/// What nobody has read of one CPU's ring: the rest of the reader page, then the sub-buffers from the head page to the commit page, as <c>ring_buffer_read_page</c> would
/// give them. The CPU may have stopped anywhere, also in the middle of an event: only what the kernel has committed counts. Its bytes are the guest's: each walk has an end.
/// </summary>
internal sealed class RingTail
{
    private const int PreviousOffset = 8;

    /// <summary><c>RB_PAGE_UPDATE</c>, in <c>list.next</c> of the page before; <c>RB_PAGE_HEAD</c> is 1.</summary>
    private const ulong Updating = 2;

    /// <summary>Of a page's <c>write</c> and <c>entries</c>; the upper bits count writers (<c>RB_WRITE_MASK</c>).</summary>
    private const ulong EntriesMask = 0xFFFFF;

    private readonly KernelMemory _memory;

    /// <summary>Oldest first.</summary>
    private readonly Page[] _pages;

    private RingTail(KernelMemory memory, int vcpu, int subBufferBytes, RingCounters counters, Page[] pages, string? fault, EventLoss atEnd)
    {
        _memory = memory;
        Vcpu = vcpu;
        SubBufferBytes = subBufferBytes;
        Counters = counters;
        _pages = pages;
        Fault = fault;
        LossAtEnd = atEnd;
    }

    public int Vcpu { get; }

    public int SubBufferBytes { get; }

    public RingCounters Counters { get; }

    /// <summary>Sub-buffers that may hold events.</summary>
    public int Count => _pages.Length;

    /// <summary>Why there are not all of them; null when there are.</summary>
    public string? Fault { get; }

    /// <summary>What could not be found after the last of them.</summary>
    public EventLoss LossAtEnd { get; }

    /// <param name="address">Of the <c>struct ring_buffer_per_cpu</c>.</param>
    /// <param name="mostSubBuffers">The newest are taken.</param>
    /// <returns>Null when it cannot be read.</returns>
    public static RingTail? TryOpen(KernelMemory memory, RingLayout layout, int vcpu, ulong address, int subBufferBytes, int mostSubBuffers)
    {
        byte[] ring = new byte[layout.VcpuBytes];
        if (!memory.TryRead(address, ring))
        {
            return null;
        }
        RingCounters counters = new(
            layout.Entries.In(ring), layout.Overrun.In(ring), layout.CommitOverrun.In(ring),
            layout.DroppedEvents.In(ring), layout.Read.In(ring));
        ulong commitPage = layout.CommitPage.In(ring);
        ulong readerPage = layout.ReaderPage.In(ring);
        Walk walk = new(memory, layout);
        List<Page> pages = walk.FromCommitToHead(commitPage, readerPage, Math.Min(layout.NrPages.In(ring), (ulong)mostSubBuffers));
        // What was overwritten since the reader page was taken out of the ring.
        EventLoss beforeHead = walk.Fault is null ? LossOf(layout.Overrun.In(ring) - layout.LastOverrun.In(ring)) : Unknown;
        if (walk.Read(readerPage) is RingPage reader)
        {
            Place(pages, beforeHead);
            pages.Add(new Page(
                reader.Data, (int)Math.Min(reader.ReadBytes, int.MaxValue), layout.ReadStamp.In(ring), readerPage == commitPage ? 0 : reader.RealEnd,
                reader.Entries, LossOf(layout.LostEvents.In(ring))));
        }
        else
        {
            walk.Fault ??= "the reader page cannot be read from this memory";
            Place(pages, Unknown);
        }
        EventLoss atEnd = walk.Fault is not null && pages.Count <= 1 ? Unknown : default;
        pages.Reverse();
        return new RingTail(memory, vcpu, subBufferBytes, counters, [.. pages], walk.Fault, atEnd);
    }

    /// <summary>One sub-buffer as a slot of a segment.</summary>
    /// <param name="slot">Room of <see cref="SubBufferBytes"/>.</param>
    public RingSlot TryRead(int index, Span<byte> slot)
    {
        Page page = _pages[index];
        slot.Clear();
        if (!_memory.TryRead(page.Data, slot[..SubBuffer.HeaderBytes]))
        {
            return page.Unreadable;
        }
        SubBuffer header = new(slot);
        int end = header.DataBytes;
        if (end > slot.Length - SubBuffer.HeaderBytes)
        {
            return page.Unreadable;
        }
        // A full page ends with padding; real_end leaves it out, and so leaves room for a count of lost events. On a page that was read in part the kernel copies up to commit.
        end = page.Read == 0 && page.RealEnd > 0 && page.RealEnd < (ulong)end ? (int)page.RealEnd : end;
        if (page.Read >= end)
        {
            return new RingSlot(RingSlotState.Empty, page.Before);
        }
        if (!_memory.TryRead(page.Data + SubBuffer.HeaderBytes + (ulong)page.Read, slot.Slice(SubBuffer.HeaderBytes, end - page.Read)))
        {
            return page.Unreadable;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(slot, page.Read == 0 ? header.TimeStamp : page.ReadStamp);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[sizeof(ulong)..], (ulong)(end - page.Read));
        return new RingSlot(RingSlotState.Filled, page.Before);
    }

    private static EventLoss Unknown => new(true, null);

    private static void Place(List<Page> newestFirst, EventLoss loss)
    {
        if (newestFirst.Count > 0)
        {
            newestFirst[^1] = newestFirst[^1] with { Before = loss };
        }
    }

    private static EventLoss LossOf(ulong events) => events == 0 ? default : new EventLoss(true, events);

    /// <summary>A <c>struct buffer_page</c>.</summary>
    private readonly record struct RingPage(ulong Next, ulong Previous, ulong ReadBytes, ulong Entries, ulong RealEnd, ulong Data);

    /// <param name="Data">Address of the sub-buffer.</param>
    /// <param name="Read">Bytes of its events that were read.</param>
    /// <param name="ReadStamp">Time of the last event that was.</param>
    /// <param name="RealEnd">Where its last event ends, when it is full; 0 when that is as commit says.</param>
    private sealed record Page(ulong Data, int Read, ulong ReadStamp, ulong RealEnd, ulong Entries, EventLoss Before)
    {
        /// <summary>How many events it held is known only where none of them was read.</summary>
        public RingSlot Unreadable => new(RingSlotState.Unreadable, Before.And(new EventLoss(true, Read == 0 ? Entries & EntriesMask : null)));
    }

    private sealed class Walk(KernelMemory memory, RingLayout layout)
    {
        private readonly byte[] _page = new byte[layout.RingPageBytes];

        public string? Fault { get; set; }

        /// <summary>
        /// Newest first. The head page is the one that the page before points to with a flag. One that a writer is taking (<c>RB_PAGE_UPDATE</c>) is counted as overwritten
        /// already; one that the page before does not point to any more is just becoming the reader page, and none before it is unread.
        /// </summary>
        public List<Page> FromCommitToHead(ulong commitPage, ulong readerPage, ulong most)
        {
            List<Page> pages = [];
            if (commitPage == readerPage)
            {
                return pages;
            }
            ulong at = commitPage;
            RingPage? page = Read(at);
            while (page is RingPage known && (ulong)pages.Count < most)
            {
                ulong previous = known.Previous - (ulong)layout.PageList.Offset;
                RingPage? before = Read(previous);
                ulong pointer = before?.Next ?? 0;
                if (before is not null && pointer == ((at + (ulong)layout.PageList.Offset) | Updating))
                {
                    return pages;
                }
                pages.Add(new Page(known.Data, 0, 0, at == commitPage ? 0 : known.RealEnd, known.Entries, default));
                if (before is not null && pointer != at + (ulong)layout.PageList.Offset)
                {
                    return pages;
                }
                at = previous;
                page = before;
            }
            Fault = page is null ? "the ring's list of pages cannot be read from this memory" : $"no head page was found within {most} pages before the commit page";
            return pages;
        }

        public RingPage? Read(ulong address)
        {
            if (!memory.TryRead(address, _page))
            {
                return null;
            }
            ReadOnlySpan<byte> list = _page.AsSpan(layout.PageList.Offset);
            return new RingPage(
                BinaryPrimitives.ReadUInt64LittleEndian(list), BinaryPrimitives.ReadUInt64LittleEndian(list[PreviousOffset..]), layout.PageRead.In(_page),
                layout.PageEntries.In(_page), layout.PageRealEnd.In(_page), layout.PageData.In(_page));
        }
    }
}

/// <summary>A ring's own counters, in events.</summary>
/// <param name="Entries">Written, over the ring's life.</param>
/// <param name="Read">Taken out by readers.</param>
internal readonly record struct RingCounters(ulong Entries, ulong Overrun, ulong CommitOverrun, ulong DroppedEvents, ulong Read);

internal enum RingSlotState
{
    /// <summary>It holds events.</summary>
    Filled,

    /// <summary>Nothing unread is in it.</summary>
    Empty,

    /// <summary>The memory does not have it, or it cannot be a sub-buffer.</summary>
    Unreadable,
}

/// <param name="Loss">What is missing before its first event; of an unreadable one its own events too.</param>
internal readonly record struct RingSlot(RingSlotState State, EventLoss Loss);
