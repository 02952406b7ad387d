using System.Buffers.Binary;

namespace VsockPair.Tracing;

/// <summary>
/// Walks the events of one sub-buffer (<c>include/linux/ring_buffer.h</c>): a u32 whose low 5 bits are the type or length and whose upper 27 bits
/// are a time delta. Never reads past the span, whatever the bytes say.
/// </summary>
public static class SubBufferEvents
{
    private const int EntryBytes = 4;
    private const uint TypeMask = 0x1F;
    private const uint LongData = 0;
    private const uint LongestShortData = 28;
    private const uint Padding = 29;

    /// <summary>Counts the events that the kernel's own <c>read events</c> counts: data, neither padding nor time stamps.</summary>
    /// <param name="data">The events without the header: <see cref="SubBuffer.DataBytes"/> bytes.</param>
    /// <param name="count">Events up to the end, or to the first fault.</param>
    /// <returns>False when a length leads out of the data.</returns>
    public static bool TryCount(ReadOnlySpan<byte> data, out int count)
    {
        count = 0;
        int at = 0;
        while (data.Length - at >= EntryBytes)
        {
            uint entry = BinaryPrimitives.ReadUInt32LittleEndian(data[at..]);
            uint type = entry & TypeMask;
            long bytes;
            if (type is > LongData and <= LongestShortData)
            {
                bytes = EntryBytes + type * 4;
                count++;
            }
            else if (type > Padding)
            {
                // Time extend (30) and absolute time stamp (31): one more u32.
                bytes = 2 * EntryBytes;
            }
            else
            {
                bool isData = type == LongData;
                if (!isData && entry == Padding)
                {
                    // A padding without a delta: the rest of the sub-buffer is unused.
                    return true;
                }
                if (data.Length - at < 2 * EntryBytes)
                {
                    return false;
                }
                uint length = BinaryPrimitives.ReadUInt32LittleEndian(data[(at + EntryBytes)..]);
                if (length < EntryBytes)
                {
                    return false;
                }
                bytes = EntryBytes + (long)length;
                count += isData ? 1 : 0;
            }
            if (bytes > data.Length - at)
            {
                count -= type <= LongestShortData ? 1 : 0;
                return false;
            }
            at += (int)bytes;
        }
        return at == data.Length;
    }
}
