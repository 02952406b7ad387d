using System.Buffers.Binary;
using System.Text;
using VsockPair.Text;

namespace VsockPair.Memory;

/// <summary>
/// The kernel log out of a guest's memory: the lockless ring that kernels have since 5.10. Three arrays: descriptors (state and place of the text), infos (time, length) and the
/// text. A record's id counts up and is its place in the first two; descriptors from <c>tail_id</c> to <c>head_id</c> are in use. Another CPU may have been writing when the
/// guest was stopped: a descriptor says by its state whether its record can be used.
/// </summary>
internal sealed class PrintkRing
{
    private const int MaxBits = 31;
    private const int ChunkRecords = 1024;
    private const int StateShift = 62;
    private const ulong IdMask = (1UL << StateShift) - 1;

    /// <summary><c>desc_committed</c>, <c>desc_finalized</c>.</summary>
    private const ulong Committed = 1;
    private const ulong Finalized = 2;

    private readonly KernelMemory _memory;
    private readonly PrintkLayout _layout;
    private readonly TextWriter _output;
    private readonly PrintkLimits _limits;
    private readonly StringBuilder _line = new();
    private ulong _descriptors;
    private ulong _infos;
    private ulong _firstId;
    private ulong _lastId;
    private ulong _indexMask;
    private long _older;
    private PrintkText? _text;
    private long _textBudget;
    private long _records;
    private long _lost;
    private ulong? _lastShown;
    private ulong? _firstSequence;
    private ulong _lastSequence;

    private PrintkRing(KernelMemory memory, PrintkLayout layout, TextWriter output, PrintkLimits limits)
    {
        _memory = memory;
        _layout = layout;
        _output = output;
        _limits = limits;
    }

    /// <summary>Writes the log as dmesg shows it. Nothing is written when the answer has no records.</summary>
    public static PrintkReport Write(KernelMemory memory, TextWriter output, PrintkLimits limits)
    {
        if (!PrintkLayout.TryRead(memory.Info, out PrintkLayout? layout, out string? reason))
        {
            return PrintkReport.Nothing(reason);
        }
        PrintkRing ring = new(memory, layout, output, limits);
        return ring.FindRing() is { } fault ? PrintkReport.Nothing(fault) : ring.WriteRecords();
    }

    private string? FindRing()
    {
        if (!_memory.TryReadU64(_layout.Prb, out ulong ring))
        {
            return "the log's ring buffer is not in this memory";
        }
        ulong descriptorRing = unchecked(ring + (ulong)_layout.DescriptorRing);
        ulong textRing = unchecked(ring + (ulong)_layout.TextRing);
        if (!TryMember(descriptorRing, _layout.Descriptors, out _descriptors) || !TryMember(descriptorRing, _layout.Infos, out _infos)
            || !TryMember(descriptorRing, _layout.HeadId, out ulong headId) || !TryMember(descriptorRing, _layout.TailId, out ulong tailId)
            || !TryMember(textRing, _layout.Data, out ulong data) || !TryMember(textRing, _layout.HeadPosition, out ulong headPosition)
            || !_memory.TryReadU32(unchecked(descriptorRing + (ulong)_layout.CountBits), out uint countBits)
            || !_memory.TryReadU32(unchecked(textRing + (ulong)_layout.SizeBits), out uint sizeBits))
        {
            return "the log's ring buffer is only partly in this memory";
        }
        if (countBits > MaxBits || sizeBits is < 3 or > MaxBits)
        {
            return $"the log's ring buffer claims 2^{countBits} records in 2^{sizeBits} bytes: damaged";
        }
        _indexMask = (1UL << (int)countBits) - 1;
        _lastId = headId & IdMask;
        ulong before = Math.Min((_lastId - tailId) & IdMask, _indexMask);
        _older = (long)before - Math.Min((long)before, _limits.Records - 1);
        _firstId = (_lastId - (before - (ulong)_older)) & IdMask;
        long textBytes = 1L << (int)sizeBits;
        _textBudget = Math.Min(textBytes, _limits.TextBytes);
        _text = new PrintkText(_memory, data, (int)sizeBits, headPosition, _textBudget);
        return null;
    }

    private PrintkReport WriteRecords()
    {
        byte[] descriptors = new byte[ChunkRecords * _layout.DescriptorBytes];
        byte[] infos = new byte[ChunkRecords * _layout.InfoBytes];
        ulong left = ((_lastId - _firstId) & IdMask) + 1;
        ulong id = _firstId;
        long unread = 0;
        while (left > 0 && _textBudget >= 0)
        {
            ulong index = id & _indexMask;
            int count = (int)Math.Min(Math.Min(ChunkRecords, left), _indexMask + 1 - index);
            Span<byte> states = descriptors.AsSpan(0, count * _layout.DescriptorBytes);
            Span<byte> facts = infos.AsSpan(0, count * _layout.InfoBytes);
            if (_memory.TryRead(unchecked(_descriptors + index * (ulong)_layout.DescriptorBytes), states)
                && _memory.TryRead(unchecked(_infos + index * (ulong)_layout.InfoBytes), facts))
            {
                for (int i = 0; i < count && _textBudget >= 0; i++)
                {
                    WriteRecord((id + (ulong)i) & IdMask, states.Slice(i * _layout.DescriptorBytes, _layout.DescriptorBytes), facts.Slice(i * _layout.InfoBytes, _layout.InfoBytes));
                }
            }
            else
            {
                unread += count;
            }
            left -= (ulong)count;
            id = (id + (ulong)count) & IdMask;
        }
        string? reason = _textBudget < 0 ? "the log's records claim more text than its ring holds: damaged"
            : _records == 0 && unread == 0 ? "the log's ring buffer has no record in it"
            : unread > 0 ? $"{unread} records of the log are not in this memory"
            : _older > 0 ? $"the log has {_older} older records; the newest {_limits.Records} are read, with {_limits.TextBytes >> 20} MiB of text"
            : null;
        return new PrintkReport(_records, _lost, _firstSequence ?? 0, _lastSequence, reason);
    }

    private void WriteRecord(ulong id, ReadOnlySpan<byte> descriptor, ReadOnlySpan<byte> info)
    {
        ulong state = BinaryPrimitives.ReadUInt64LittleEndian(descriptor[_layout.State..]);
        // The kernel's own readers wait for finalized ones. A committed one is whole as well, but may be continued: the last words of a kernel that
        // died in the middle of a line. Reserved ones are being written, reusable ones have lost their text; another id is another record's.
        if ((state & IdMask) != id || state >> StateShift is not (Committed or Finalized))
        {
            return;
        }
        int length = BinaryPrimitives.ReadUInt16LittleEndian(info[_layout.TextLength..]);
        ulong begin = BinaryPrimitives.ReadUInt64LittleEndian(descriptor[_layout.Begin..]);
        ulong next = BinaryPrimitives.ReadUInt64LittleEndian(descriptor[_layout.Next..]);
        if (_text!.IsOlder(begin, next))
        {
            _older++;
            return;
        }
        if (!_text.TryRead(id, begin, next, length, out ReadOnlySpan<byte> text))
        {
            return;
        }
        _textBudget -= text.Length;
        if (_textBudget < 0)
        {
            return;
        }
        ulong before = _lastShown is { } shown ? (id - shown - 1) & IdMask : 0;
        _line.Clear();
        if (before > 0)
        {
            _line.Append(DmesgLine.Lost(before)).Append('\n');
            _lost += (long)before;
        }
        DmesgLine.Append(_line, BinaryPrimitives.ReadUInt64LittleEndian(info[_layout.Time..]) / 1000, text, level: null);
        _output.Write(_line);
        _lastShown = id;
        _records++;
        _lastSequence = BinaryPrimitives.ReadUInt64LittleEndian(info[_layout.Sequence..]);
        _firstSequence ??= _lastSequence;
    }

    private bool TryMember(ulong structure, int offset, out ulong value) => _memory.TryReadU64(unchecked(structure + (ulong)offset), out value);
}

/// <param name="Lost">Records between those that were written whose text is gone or damaged; each place is marked.</param>
/// <param name="FirstSequence">The kernel's own number of the first record written: as many were overwritten before it.</param>
/// <param name="Missing">Why there is less than the ring held; null when all is there.</param>
internal sealed record PrintkReport(long Records, long Lost, ulong FirstSequence, ulong LastSequence, string? Missing)
{
    public static PrintkReport Nothing(string reason) => new(0, 0, 0, 0, reason);
}

/// <summary>How much of a log is read, the newest: a kernel can be started with one of 2 GiB.</summary>
/// <param name="TextBytes">Before it is escaped.</param>
internal sealed record PrintkLimits(int Records, long TextBytes)
{
    /// <summary>Out of a file. A log of 32 MiB, the largest that a kernel can be configured with, has as many records.</summary>
    public static PrintkLimits File { get; } = new(1 << 20, 64 << 20);

    /// <summary>Out of a guest that stands still for it, and whose rings shall be read as well: sixteen times what distributions configure.</summary>
    public static PrintkLimits Standing { get; } = new(1 << 16, 8 << 20);
}
