using System.Diagnostics.CodeAnalysis;

namespace VsockPair.Memory;

/// <summary>
/// Where things lie in the printk ring of this kernel (kernel/printk/printk_ringbuffer.h), as it says itself: <c>log_buf_vmcoreinfo_setup</c> exports all that a reader needs,
/// since 5.10, when this ring came.
/// </summary>
internal sealed class PrintkLayout
{
    /// <summary>The structures have 24 and 88 bytes.</summary>
    private const int MaxStructureBytes = 512;

    public ulong Prb { get; private init; }

    public int DescriptorRing { get; private init; }

    public int TextRing { get; private init; }

    public int CountBits { get; private init; }

    public int Descriptors { get; private init; }

    public int Infos { get; private init; }

    public int HeadId { get; private init; }

    public int TailId { get; private init; }

    public int DescriptorBytes { get; private init; }

    public int State { get; private init; }

    public int Begin { get; private init; }

    public int Next { get; private init; }

    public int InfoBytes { get; private init; }

    public int Sequence { get; private init; }

    public int Time { get; private init; }

    public int TextLength { get; private init; }

    public int SizeBits { get; private init; }

    public int Data { get; private init; }

    public int HeadPosition { get; private init; }

    /// <param name="reason">Which line is missing, and what that means.</param>
    public static bool TryRead(VmcoreInfo info, [NotNullWhen(true)] out PrintkLayout? layout, [NotNullWhen(false)] out string? reason)
    {
        layout = null;
        if (!info.TrySymbol("prb", out ulong prb))
        {
            reason = info.TrySymbol("log_buf", out _)
                ? "the log of a kernel before 5.10 has another structure, which is not read"
                : "VMCOREINFO has no SYMBOL(prb): a kernel without printk";
            return false;
        }
        string? missing = null;
        int textBlock = Offset("prb_desc.text_blk_lpos");
        PrintkLayout read = new()
        {
            Prb = prb,
            DescriptorRing = Offset("printk_ringbuffer.desc_ring"),
            TextRing = Offset("printk_ringbuffer.text_data_ring"),
            CountBits = Offset("prb_desc_ring.count_bits"),
            Descriptors = Offset("prb_desc_ring.descs"),
            Infos = Offset("prb_desc_ring.infos"),
            HeadId = Offset("prb_desc_ring.head_id") + Offset("atomic_long_t.counter"),
            TailId = Offset("prb_desc_ring.tail_id") + Offset("atomic_long_t.counter"),
            DescriptorBytes = Size("prb_desc"),
            State = Offset("prb_desc.state_var") + Offset("atomic_long_t.counter"),
            Begin = textBlock + Offset("prb_data_blk_lpos.begin"),
            Next = textBlock + Offset("prb_data_blk_lpos.next"),
            InfoBytes = Size("printk_info"),
            Sequence = Offset("printk_info.seq"),
            Time = Offset("printk_info.ts_nsec"),
            TextLength = Offset("printk_info.text_len"),
            SizeBits = Offset("prb_data_ring.size_bits"),
            Data = Offset("prb_data_ring.data"),
            HeadPosition = Offset("prb_data_ring.head_lpos") + Offset("atomic_long_t.counter"),
        };
        if (missing is not null)
        {
            reason = $"VMCOREINFO has no usable {missing}: the layout of this kernel's log is not known";
            return false;
        }
        if (!read.IsSound)
        {
            reason = "VMCOREINFO gives the log's structures a layout that no kernel has";
            return false;
        }
        layout = read;
        reason = null;
        return true;

        int Offset(string name)
        {
            if (!info.TryOffset(name, out int offset))
            {
                missing ??= $"OFFSET({name})";
            }
            return offset;
        }

        int Size(string name)
        {
            if (!info.TrySize(name, out int size))
            {
                missing ??= $"SIZE({name})";
            }
            return size;
        }
    }

    /// <summary>Members lie within their structures, so that what was read of one can be cut up without a further look.</summary>
    private bool IsSound =>
        DescriptorBytes <= MaxStructureBytes && Math.Max(State, Math.Max(Begin, Next)) <= DescriptorBytes - sizeof(ulong)
        && InfoBytes <= MaxStructureBytes && Math.Max(Sequence, Math.Max(Time, TextLength)) <= InfoBytes - sizeof(ulong);
}
