using System.Buffers.Binary;
using System.Numerics;

namespace VsockPair.Memory;

/// <summary>
/// Which pages a kdump-compressed file holds, and the how-manieth of them a page is. The bitmap stays in the file; kept is how many pages come before each block of it.
/// </summary>
internal sealed class KdumpBitmap
{
    private const int BlockBytes = 4096;
    private const long PagesOfBlock = BlockBytes * 8;

    /// <summary>16 TiB of memory in pages of 4 KiB.</summary>
    private const ulong MaxPages = 1UL << 32;

    private readonly IByteSource _file;
    private readonly long _at;
    private readonly long _bytes;
    private readonly ulong _pages;
    private readonly long[] _before;
    private readonly byte[] _block = new byte[BlockBytes];
    private long _blockNumber = -1;

    private KdumpBitmap(IByteSource file, long at, long bytes, ulong pages, long[] before)
    {
        _file = file;
        _at = at;
        _bytes = bytes;
        _pages = pages;
        _before = before;
    }

    /// <summary>Pages in the file.</summary>
    public long Count { get; private set; }

    public static KdumpBitmap? TryOpen(IByteSource file, long at, long bytes, ulong pages, out string? reason)
    {
        if (pages is 0 or > MaxPages)
        {
            reason = $"a kdump-compressed file of {pages} pages";
            return null;
        }
        // A block that holds more than these pages is padding.
        long used = (long)(pages + 7) / 8;
        if (bytes < used || at > file.Length - used)
        {
            reason = $"a kdump-compressed file of {file.Length} bytes, too few for the bitmap of {pages} pages";
            return null;
        }
        long[] before = new long[(used + BlockBytes - 1) / BlockBytes];
        KdumpBitmap bitmap = new(file, at, used, pages, before);
        for (int i = 0; i < before.Length; i++)
        {
            before[i] = bitmap.Count;
            if (!bitmap.TryBlock(i))
            {
                reason = "a kdump-compressed file whose bitmap cannot be read";
                return null;
            }
            bitmap.Count += CountOnes(bitmap._block);
        }
        reason = null;
        return bitmap;
    }

    /// <param name="index">How many pages of the file come before it.</param>
    public bool TryIndexOf(ulong page, out long index)
    {
        index = 0;
        if (page >= _pages || !TryBlock((long)page / PagesOfBlock))
        {
            return false;
        }
        int bit = (int)((long)page % PagesOfBlock);
        if ((_block[bit / 8] >> (bit % 8) & 1) == 0)
        {
            return false;
        }
        int whole = bit / 64 * 8;
        ulong last = BinaryPrimitives.ReadUInt64LittleEndian(_block.AsSpan(whole)) & ((1UL << bit % 64) - 1);
        index = _before[_blockNumber] + CountOnes(_block.AsSpan(0, whole)) + BitOperations.PopCount(last);
        return true;
    }

    private bool TryBlock(long number)
    {
        if (number == _blockNumber)
        {
            return true;
        }
        long at = number * BlockBytes;
        int bytes = (int)Math.Min(BlockBytes, _bytes - at);
        _block.AsSpan(bytes).Clear();
        // What is in the block after a failure is nobody's.
        _blockNumber = _file.TryRead(_at + at, _block.AsSpan(0, bytes)) ? number : -1;
        return _blockNumber == number;
    }

    private static long CountOnes(ReadOnlySpan<byte> bytes)
    {
        long count = 0;
        for (; bytes.Length > 0; bytes = bytes[sizeof(ulong)..])
        {
            count += BitOperations.PopCount(BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }
        return count;
    }
}
