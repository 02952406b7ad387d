using System.Text;
using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>
/// One instance of ftrace with one CPU's ring, as <c>ring_buffer.c</c> lays it out: a circle of pages, of which the head page is marked in the pointer to it, and the
/// reader page beside it.
/// </summary>
internal sealed class FakeRing
{
    private readonly RingLayout _layout;
    private readonly ulong _vcpu;
    private readonly ulong[] _pages;
    private readonly ulong _readerPage;

    public FakeRing(FakeKernel kernel, bool is612 = false, int pages = 8, string name = "vsockpair", int order = 0)
    {
        Kernel = kernel;
        Types = FakeTypes.Of(is612);
        _layout = RingLayout.TryFind(Types, out string fault) ?? throw new InvalidDataException(fault);
        SubBufferBytes = 4096 << order;
        ulong list = kernel.Allocate(16);
        ulong count = kernel.Allocate(8);
        kernel.Write(count, 2);
        ulong text = kernel.Allocate(64);
        Encoding.ASCII.GetBytes(name, kernel.At(text));
        ulong array = kernel.Allocate(8016);
        ulong buffer = kernel.Allocate(256);
        ulong vcpus = kernel.Allocate(16);
        _vcpu = kernel.Allocate(512);
        kernel.Write(list, array);
        kernel.Write(array, list);
        kernel.Write(array, _layout.ArrayName, text);
        kernel.Write(array, _layout.ArrayBuffer, buffer);
        kernel.Write(buffer, _layout.BufferVcpus, vcpus);
        if (is612)
        {
            kernel.Write(buffer, _layout.BufferOrder!.Value, (ulong)order);
        }
        else
        {
            kernel.Write(buffer, _layout.BufferVcpuCount!.Value, 2);
        }
        // CPU 1 only: 0 was never online.
        kernel.Write(vcpus + 8, _vcpu);
        kernel.Write(_vcpu, _layout.NrPages, (ulong)pages);
        _pages = [.. Enumerable.Range(0, pages).Select(_ => NewPage())];
        _readerPage = NewPage();
        for (int i = 0; i < pages; i++)
        {
            kernel.Write(_pages[i], _pages[(i + 1) % pages]);
            kernel.Write(_pages[i] + 8, _pages[(i + pages - 1) % pages]);
        }
        kernel.Write(_vcpu, _layout.ReaderPage, _readerPage);
        Symbols = Encoding.ASCII.GetBytes(
            $"+0 T _text\n+40 T _stext\n+{list - FakeKernel.Base:x} D ftrace_trace_arrays\n+{count - FakeKernel.Base:x} D nr_cpu_ids\n");
        SetHead(0);
        SetCommit(-1);
    }

    public FakeKernel Kernel { get; }

    public KernelTypes Types { get; }

    public byte[] Symbols { get; }

    public int SubBufferBytes { get; }

    /// <summary>Its <c>struct ring_buffer_per_cpu</c>, and one <c>buffer_page</c> (-1: the reader page).</summary>
    public ulong Vcpu => _vcpu;

    public ulong PageAt(int index) => index < 0 ? _readerPage : _pages[index];

    public ulong DataAt(int index) => Kernel.Read(PageAt(index) + (ulong)_layout.PageData.Offset);

    /// <param name="index">-1 for the reader page.</param>
    public void Fill(int index, byte[] subBuffer, int entries, int read = 0, int realEnd = 0)
    {
        subBuffer.CopyTo(Kernel.At(DataAt(index)));
        Kernel.Write(PageAt(index), _layout.PageWrite, BitConverter.ToUInt64(subBuffer, 8) | 2 << 20);
        Kernel.Write(PageAt(index), _layout.PageEntries, (ulong)entries | 3 << 20);
        Kernel.Write(PageAt(index), _layout.PageRead, (ulong)read);
        Kernel.Write(PageAt(index), _layout.PageRealEnd, (ulong)realEnd);
    }

    public void SetCommit(int index) => Kernel.Write(_vcpu, _layout.CommitPage, PageAt(index));

    /// <param name="flag">1 for the head, 2 while a writer takes it.</param>
    public void SetHead(int index, ulong flag = 1)
    {
        for (int i = 0; i < _pages.Length; i++)
        {
            Kernel.Write(_pages[i], _pages[(i + 1) % _pages.Length] | ((i + 1) % _pages.Length == index ? flag : 0));
        }
    }

    public void Set(Func<RingLayout, KernelMember> member, ulong value) => Kernel.Write(_vcpu, member(_layout), value);

    /// <summary>A reader has written its page's address over the head's in the circle, and not yet told its CPU.</summary>
    public void HalfSwap(int head) => Kernel.Write(_pages[(head + _pages.Length - 1) % _pages.Length], _readerPage);

    public FtraceRings Open() => FtraceRings.TryOpen(
        Kernel.Memory, Types, KernelAddresses.TryCreate(Symbols, [], Kernel.Memory.Info, out _)!, out string fault) ?? throw new InvalidDataException(fault);

    public RingTail Tail(List<string>? faults = null)
    {
        List<string> found = [];
        RingTail tail = Assert.Single(Open().Open("vsockpair", found));
        Assert.Equal(1, tail.Vcpu);
        faults?.AddRange(found);
        Assert.True(faults is not null || found.Count == 0, string.Join('\n', found));
        return tail;
    }

    private ulong NewPage()
    {
        ulong page = Kernel.Allocate(64);
        Kernel.Write(page, _layout.PageData, Kernel.Allocate(SubBufferBytes, SubBufferBytes));
        Kernel.Write(page, page);
        Kernel.Write(page + 8, page);
        return page;
    }
}
