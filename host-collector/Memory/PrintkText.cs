using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>
/// The text of the printk ring: blocks that begin with the id of their record, at logical positions that only grow; a block that does not fit before the end lies at the start.
/// </summary>
/// <param name="headPosition">Where the next block will begin.</param>
/// <param name="mostBytes">How far back from there text is wanted.</param>
internal sealed class PrintkText(KernelMemory memory, ulong data, int sizeBits, ulong headPosition, long mostBytes)
{
    private const int IdBytes = sizeof(ulong);

    /// <summary>Of the ring, read together: a ring of usual size is one request to a remote memory.</summary>
    private const int MaxPieceBytes = 1 << 20;

    /// <summary>Both positions of a record without text (<c>NO_LPOS</c>).</summary>
    private const ulong NoText = 3;

    private readonly ulong _mask = (1UL << sizeBits) - 1;
    private readonly byte[] _piece = new byte[Math.Min(1 << Math.Min(sizeBits, 20), MaxPieceBytes)];
    private readonly byte[] _block = new byte[IdBytes + ushort.MaxValue];
    private ulong? _pieceAt;
    private bool _hasPiece;

    /// <summary>Whether the text lies further back than is wanted, and may still be there.</summary>
    public bool IsOlder(ulong begin, ulong next) =>
        (begin, next) is not (NoText, NoText) && headPosition - begin > (ulong)mostBytes && headPosition - begin <= _mask + 1;

    /// <summary>As the kernel's <c>get_data</c>, and the block must name its record.</summary>
    /// <param name="length">That the record claims.</param>
    /// <param name="text">Good until the next call.</param>
    /// <returns>False when the text is gone, damaged, or not in this memory.</returns>
    public bool TryRead(ulong id, ulong begin, ulong next, int length, out ReadOnlySpan<byte> text)
    {
        text = default;
        if (begin == NoText && next == NoText)
        {
            return true;
        }
        // Odd positions: no text could be had when it was written. Positions begin shortly before 2^64 and go over it when the ring has been filled once.
        if (((begin | next) & (IdBytes - 1)) != 0 || begin == next || next - begin > _mask + 1 || headPosition - next > _mask + 1)
        {
            return false;
        }
        // A block that ends with the ring was put at its start by kernels before 6.18, and is then longer than nothing; later ones leave it where it is.
        bool wraps = begin >> sizeBits != (next - 1) >> sizeBits;
        ulong at = wraps ? 0 : begin & _mask;
        ulong blockBytes = wraps ? next & _mask : next - begin;
        if (blockBytes < IdBytes)
        {
            return false;
        }
        int bytes = IdBytes + (int)Math.Min((ulong)length, blockBytes - IdBytes);
        Span<byte> block = _block.AsSpan(0, bytes);
        if (!TryReadBlock(at, block) || BinaryPrimitives.ReadUInt64LittleEndian(block) != id)
        {
            return false;
        }
        text = block[IdBytes..];
        return true;
    }

    private bool TryReadBlock(ulong at, Span<byte> block)
    {
        ulong pieceAt = at / (ulong)_piece.Length * (ulong)_piece.Length;
        int within = (int)(at - pieceAt);
        if (within + block.Length > _piece.Length)
        {
            return memory.TryRead(unchecked(data + at), block);
        }
        if (_pieceAt != pieceAt)
        {
            _pieceAt = pieceAt;
            _hasPiece = memory.TryRead(unchecked(data + pieceAt), _piece);
        }
        if (!_hasPiece)
        {
            // It may be in memory only in part.
            return memory.TryRead(unchecked(data + at), block);
        }
        _piece.AsSpan(within, block.Length).CopyTo(block);
        return true;
    }
}
