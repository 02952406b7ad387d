using System.Buffers.Binary;
using VsockPair.Tracing;

namespace VsockPair.Protocol;

/// <summary>
/// Cuts a bulk stream into records: whole sub-buffers, and tails behind their mark. The mark stands where a sub-buffer has its time stamp,
/// and no trace clock ever reaches all ones.
/// </summary>
public static class BulkRecord
{
    private const ulong TailMark = ulong.MaxValue;

    /// <summary>Mark and u32 length before the bytes of a tail.</summary>
    public const int TailPrefixBytes = sizeof(ulong) + sizeof(uint);

    /// <summary>Writes what goes before a tail of <paramref name="usedBytes"/> bytes (<see cref="SubBuffer.UsedBytes"/>).</summary>
    public static void WriteTailPrefix(Span<byte> target, int usedBytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, TailMark);
        BinaryPrimitives.WriteUInt32LittleEndian(target[sizeof(ulong)..], (uint)usedBytes);
    }

    /// <summary>Looks at the record that begins at <paramref name="received"/>[0].</summary>
    /// <param name="prefixBytes">0 for a sub-buffer, <see cref="TailPrefixBytes"/> for a tail.</param>
    /// <param name="bytes">Bytes of the record after the prefix.</param>
    /// <param name="subBuffer">Its header.</param>
    public static BulkRecordState TryTake(ReadOnlySpan<byte> received, int subBufferBytes, out int prefixBytes, out int bytes, out SubBuffer subBuffer)
    {
        prefixBytes = 0;
        bytes = subBufferBytes;
        subBuffer = default;
        if (received.Length < TailPrefixBytes)
        {
            return BulkRecordState.Incomplete;
        }
        if (BinaryPrimitives.ReadUInt64LittleEndian(received) == TailMark)
        {
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(received[sizeof(ulong)..]);
            if (length < SubBuffer.HeaderBytes || length > (uint)subBufferBytes)
            {
                return BulkRecordState.Malformed;
            }
            prefixBytes = TailPrefixBytes;
            bytes = (int)length;
        }
        if (received.Length < prefixBytes + SubBuffer.HeaderBytes)
        {
            return BulkRecordState.Incomplete;
        }
        subBuffer = new SubBuffer(received[prefixBytes..]);
        if (prefixBytes > 0 ? subBuffer.UsedBytes != bytes : !subBuffer.FitsInto(subBufferBytes))
        {
            return BulkRecordState.Malformed;
        }
        return received.Length - prefixBytes >= bytes ? BulkRecordState.Whole : BulkRecordState.Incomplete;
    }
}

/// <summary>What <see cref="BulkRecord.TryTake"/> found.</summary>
public enum BulkRecordState
{
    /// <summary>More bytes must come first.</summary>
    Incomplete,

    Whole,

    /// <summary>A tail's length or a commit field that cannot be: the stream cannot be followed further.</summary>
    Malformed,
}
