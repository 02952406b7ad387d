using System.Buffers.Binary;
using VsockPair.History;
using VsockPair.HostCollector.Tests.Export;
using VsockPair.Memory;
using VsockPair.Tracing;

namespace VsockPair.HostCollector.Tests.Memory;

public sealed class RingTailTests
{
    private const int Page = SampleTrace.SubBufferBytes;
    private const int EventBytes = 24;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rest_of_the_reader_page_comes_first_then_head_to_commit(bool is612)
    {
        FakeRing ring = new(new FakeKernel(), is612);
        // Seven of its ten events were read, the last of them at 16000.
        ring.Fill(-1, SampleTrace.SubBufferOf(10_000, 0, 10), 10, read: 7 * EventBytes);
        ring.Set(l => l.ReadStamp, 16_000);
        ring.SetHead(6);
        for (int i = 0; i < 4; i++)
        {
            ring.Fill((6 + i) % 8, SampleTrace.SubBufferOf((ulong)(20_000 + i * 10_000), 10 + i * 5, 5), 5);
        }
        ring.SetCommit(1);
        RingTail tail = ring.Tail();
        Assert.Null(tail.Fault);
        Assert.Equal([7, 8, 9, .. Enumerable.Range(10, 20)], Values(tail, out List<ulong> times, out List<EventLoss> losses));
        Assert.Equal([17_000UL, 18_000UL, 19_000UL, 20_000UL, 21_000UL], times.Take(5));
        Assert.All(losses, l => Assert.False(l.Any));
    }

    [Fact]
    public void Writer_on_the_reader_page_leaves_no_more_than_that()
    {
        FakeRing ring = new(new FakeKernel());
        byte[] page = SampleTrace.SubBufferOf(10_000, 0, 10);
        // The last two are being written: not committed.
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), 8 * EventBytes);
        ring.Fill(-1, page, 10, realEnd: 3 * EventBytes);
        ring.Fill(0, SampleTrace.SubBufferOf(1, 100, 3), 3);
        ring.SetCommit(-1);
        Assert.Equal(Enumerable.Range(0, 8), Values(ring.Tail(), out _, out _));
    }

    [Fact]
    public void Ring_that_was_read_to_its_end_has_nothing()
    {
        FakeRing ring = new(new FakeKernel());
        ring.Fill(-1, SampleTrace.SubBufferOf(10_000, 0, 10), 10, read: 10 * EventBytes);
        Assert.Equal(0, ring.Tail().Count);
        // Also when its content is not there: nothing of it is missing.
        ring.Kernel.Remove(ring.DataAt(-1));
        Assert.Equal(0, ring.Tail().Count);
    }

    [Fact]
    public void Page_that_a_writer_takes_is_overwritten_already()
    {
        FakeRing ring = new(new FakeKernel());
        FillCircle(ring, 8);
        ring.SetHead(2, flag: 2);
        ring.SetCommit(1);
        Assert.Equal(Enumerable.Range(30, 50).Concat(Enumerable.Range(0, 20)), Values(ring.Tail(), out _, out _));
    }

    [Fact]
    public void Page_that_just_becomes_the_reader_page_is_not_missed()
    {
        FakeRing ring = new(new FakeKernel());
        FillCircle(ring, 8);
        ring.SetHead(2);
        ring.SetCommit(5);
        ring.HalfSwap(2);
        Assert.Equal(Enumerable.Range(20, 40), Values(ring.Tail(), out _, out _));
    }

    [Fact]
    public void Padding_of_a_full_page_is_left_out_and_a_stale_end_is_not_believed()
    {
        FakeRing ring = new(new FakeKernel());
        byte[] full = SampleTrace.SubBufferOf(10_000, 0, 10);
        BinaryPrimitives.WriteUInt64LittleEndian(full.AsSpan(8), Page - 16);
        BinaryPrimitives.WriteUInt32LittleEndian(full.AsSpan(16 + 10 * EventBytes), 29 | 1 << 5);
        BinaryPrimitives.WriteUInt32LittleEndian(full.AsSpan(16 + 10 * EventBytes + 4), (uint)(Page - 16 - 10 * EventBytes - 4));
        ring.Fill(0, full, 10, realEnd: 10 * EventBytes);
        // The page was full a round ago, with a last event further to its front than where the writer is now.
        ring.Fill(1, SampleTrace.SubBufferOf(30_000, 10, 10), 10, realEnd: 4 * EventBytes);
        ring.SetHead(0);
        ring.SetCommit(1);
        RingTail tail = ring.Tail();
        Assert.Equal(Enumerable.Range(0, 20), Values(tail, out _, out _));
        byte[] slot = new byte[Page];
        Assert.Equal(RingSlotState.Filled, tail.TryRead(1, slot).State);
        Assert.Equal(10 * EventBytes, new SubBuffer(slot).DataBytes);
    }

    [Fact]
    public void Losses_stand_where_the_kernel_would_tell_of_them()
    {
        FakeRing ring = new(new FakeKernel());
        ring.Fill(-1, SampleTrace.SubBufferOf(10_000, 0, 5), 5);
        ring.Fill(0, SampleTrace.SubBufferOf(20_000, 5, 5), 5);
        ring.Fill(1, SampleTrace.SubBufferOf(30_000, 10, 5), 5);
        ring.SetCommit(1);
        ring.Set(l => l.LostEvents, 3);
        ring.Set(l => l.LastOverrun, 40);
        ring.Set(l => l.Overrun, 47);
        Values(ring.Tail(), out _, out List<EventLoss> losses);
        Assert.Equal([new EventLoss(true, 3), new EventLoss(true, 7), default], losses);
    }

    [Fact]
    public void Page_that_is_not_in_the_memory_is_a_loss_of_its_events()
    {
        FakeRing ring = new(new FakeKernel());
        FillCircle(ring, 4);
        ring.SetCommit(3);
        ring.Kernel.Remove(ring.DataAt(1));
        Assert.Equal([.. Enumerable.Range(0, 10), .. Enumerable.Range(20, 20)], Values(ring.Tail(), out _, out List<EventLoss> losses));
        Assert.Equal([default, default, new EventLoss(true, 10), default, default], losses);
    }

    [Fact]
    public void Lists_that_lead_nowhere_end_and_that_is_said()
    {
        FakeRing ring = new(new FakeKernel());
        FillCircle(ring, 8);
        ring.SetHead(-1);
        ring.SetCommit(3);
        List<string> faults = [];
        RingTail tail = ring.Tail(faults);
        Assert.Equal(["cpu1: no head page was found within 8 pages before the commit page"], faults);
        Values(tail, out _, out List<EventLoss> losses);
        Assert.Equal(9, tail.Count);
        Assert.Equal(new EventLoss(true, null), losses[1]);

        ring.Set(l => l.CommitPage, 0xdead_0000_0000_0000);
        faults.Clear();
        tail = ring.Tail(faults);
        Assert.Equal(["cpu1: the ring's list of pages cannot be read from this memory"], faults);
        Assert.Equal(new EventLoss(true, null), tail.LossAtEnd);
    }

    [Fact]
    public void Sub_buffers_of_several_pages_are_one_each()
    {
        FakeRing ring = new(new FakeKernel(), is612: true, order: 2);
        byte[] large = new byte[4 * Page];
        SampleTrace.SubBufferOf(10_000, 0, 100).CopyTo(large, 0);
        BinaryPrimitives.WriteUInt64LittleEndian(large.AsSpan(8), 300 * EventBytes);
        for (int i = 100; i < 300; i++)
        {
            large.AsSpan(16 + EventBytes, EventBytes).CopyTo(large.AsSpan(16 + i * EventBytes));
        }
        ring.Fill(0, large, 300);
        ring.SetCommit(0);
        RingTail tail = ring.Tail();
        Assert.Equal(4 * Page, tail.SubBufferBytes);
        Assert.Equal(300, Values(tail, out List<ulong> times, out _).Count);
        Assert.Equal(10_000UL + 299_000, times[^1]);
    }

    [Fact]
    public void Kernel_with_another_ring_buffer_is_named_as_such()
    {
        FakeKernel kernel = new();
        FakeRing ring = new(kernel);
        KernelAddresses addresses = KernelAddresses.TryCreate(ring.Symbols, [], kernel.Memory.Info, out _)!;
        Assert.Null(FtraceRings.TryOpen(kernel.Memory, FakeTypes.Of(is612: false, without: "reader_page"), addresses, out string fault));
        Assert.Equal("this kernel's ring buffer is laid out in a way that is not known: there is no reader_page in struct ring_buffer_per_cpu", fault);
        Assert.Null(FtraceRings.TryOpen(kernel.Memory, ring.Types, KernelAddresses.TryCreate("+40 T _stext\n"u8.ToArray(), [], kernel.Memory.Info, out _)!, out fault));
        Assert.Equal("the kernel's symbols have no ftrace_trace_arrays", fault);
        List<string> faults = [];
        Assert.Empty(ring.Open().Open("boot_map", faults));
        Assert.Equal(["there is no ftrace instance boot_map"], faults);
    }

    private static void FillCircle(FakeRing ring, int pages)
    {
        for (int i = 0; i < pages; i++)
        {
            ring.Fill(i, SampleTrace.SubBufferOf((ulong)(10_000 + i * 20_000), i * 10, 10), 10);
        }
    }

    /// <param name="losses">Before each slot.</param>
    private static List<int> Values(RingTail tail, out List<ulong> times, out List<EventLoss> losses)
    {
        List<int> values = [];
        times = [];
        losses = [];
        byte[] slot = new byte[tail.SubBufferBytes];
        for (int i = 0; i < tail.Count; i++)
        {
            RingSlot read = tail.TryRead(i, slot);
            losses.Add(read.Loss);
            EventCursor events = new(read.State == RingSlotState.Filled ? slot : new byte[SubBuffer.HeaderBytes]);
            while (events.TryRead(out RingEvent next))
            {
                values.Add(BinaryPrimitives.ReadInt32LittleEndian(next.Payload[8..]));
                times.Add(next.TimeStamp);
            }
            Assert.False(events.IsMalformed);
        }
        return values;
    }
}
