using System.Buffers.Binary;
using System.Text;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>A printk ring in a made-up kernel, written as kernel/printk/printk_ringbuffer.c does: small enough to wrap after a few records.</summary>
internal sealed class PrintkImage
{
    public const int Reserved = 0;
    public const int Committed = 1;
    public const int Finalized = 2;
    public const int Reusable = 3;

    public const string Layout = """
        SYMBOL(prb)=ffffffff80100000
        OFFSET(printk_ringbuffer.desc_ring)=0
        OFFSET(printk_ringbuffer.text_data_ring)=48
        OFFSET(prb_desc_ring.count_bits)=0
        OFFSET(prb_desc_ring.descs)=8
        OFFSET(prb_desc_ring.infos)=16
        OFFSET(prb_desc_ring.head_id)=24
        OFFSET(prb_desc_ring.tail_id)=32
        SIZE(prb_desc)=24
        OFFSET(prb_desc.state_var)=0
        OFFSET(prb_desc.text_blk_lpos)=8
        OFFSET(prb_data_blk_lpos.begin)=0
        OFFSET(prb_data_blk_lpos.next)=8
        SIZE(printk_info)=88
        OFFSET(printk_info.seq)=0
        OFFSET(printk_info.ts_nsec)=8
        OFFSET(printk_info.text_len)=16
        OFFSET(prb_data_ring.size_bits)=0
        OFFSET(prb_data_ring.data)=8
        OFFSET(prb_data_ring.head_lpos)=16
        OFFSET(atomic_long_t.counter)=0

        """;

    private const ulong Prb = 0xFFFF_FFFF_8010_0000;
    private const ulong Ring = Prb + 0x1000;
    private const ulong Descriptors = Prb + 0x10_0000;
    private const ulong Infos = Prb + 0x20_0000;
    private const ulong Text = Prb + 0x40_0000;
    private const ulong IdMask = (1UL << 62) - 1;

    private readonly int _countBits;
    private readonly int _sizeBits;
    private readonly List<(ulong Id, ulong Next)> _withText = [];
    private ulong _head;
    private ulong _tail;
    private ulong _headPosition;
    private ulong _tailPosition;
    private ulong _sequence;

    /// <param name="countBits">At most 12.</param>
    public PrintkImage(int countBits, int sizeBits)
    {
        _countBits = countBits;
        _sizeBits = sizeBits;
        // DESC0_ID and BLK0_LPOS: both go over their limit when the ring is filled for the first time.
        _head = unchecked(0UL - (1UL << countBits)) & IdMask;
        _tail = (_head + 1) & IdMask;
        _headPosition = _tailPosition = unchecked(0UL - (1UL << sizeBits));
        Write(Prb, Ring);
        Write(Ring, (ulong)countBits);
        Write(Ring + 8, Descriptors);
        Write(Ring + 16, Infos);
        Write(Ring + 48, (ulong)sizeBits);
        Write(Ring + 48 + 8, Text);
    }

    public KernelImage Kernel { get; } = new();

    public void Add(string text, int state = Finalized) => Add(Encoding.UTF8.GetBytes(text), state);

    public void Add(ReadOnlySpan<byte> text, int state = Finalized)
    {
        _head = (_head + 1) & IdMask;
        if (((_head - _tail) & IdMask) >= 1UL << _countBits)
        {
            _tail = (_tail + 1) & IdMask;
        }
        ulong info = Infos + Index(_head) * 88;
        Write(info, _sequence++);
        Write(info + 8, _sequence * 1_500_000);
        Kernel.At(info + 16)[0] = (byte)text.Length;
        Kernel.At(info + 16)[1] = (byte)(text.Length >> 8);
        ulong begin = 3;
        ulong next = 3;
        if (text.Length > 0)
        {
            (begin, next) = Allocate(text);
        }
        ulong descriptor = Descriptors + Index(_head) * 24;
        Write(descriptor, _head | (ulong)state << 62);
        Write(descriptor + 8, begin);
        Write(descriptor + 16, next);
        Write(Ring + 24, _head);
        Write(Ring + 32, _tail);
        Write(Ring + 48 + 16, _headPosition);
    }

    /// <summary>Lets the newest descriptor point into its text.</summary>
    public void DamageNewest() => Write(Descriptors + Index(_head) * 24 + 8, _headPosition - 8);

    private (ulong Begin, ulong Next) Allocate(ReadOnlySpan<byte> text)
    {
        ulong size = 1UL << _sizeBits;
        ulong bytes = 8 + ((ulong)text.Length + 7 & ~7UL);
        ulong begin = _headPosition;
        ulong next = begin + bytes;
        bool wraps = begin >> _sizeBits != next >> _sizeBits;
        next = wraps ? (next & ~(size - 1)) + bytes : next;
        while (next - _tailPosition > size)
        {
            (ulong oldest, _tailPosition) = _withText[0];
            _withText.RemoveAt(0);
            // Its place may be another record's by now.
            if (((_head - oldest) & IdMask) < 1UL << _countBits)
            {
                Write(Descriptors + Index(oldest) * 24, oldest | (ulong)Reusable << 62);
            }
        }
        ulong block = Text + (wraps ? 0 : begin & (size - 1));
        Write(Text + (begin & (size - 1)), _head);
        Write(block, _head);
        text.CopyTo(Kernel.At(block + 8));
        _withText.Add((_head, next));
        _headPosition = next;
        return (begin, next);
    }

    private ulong Index(ulong id) => id & ((1UL << _countBits) - 1);

    private void Write(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Kernel.At(address), value);
}
