using System.Buffers.Binary;

namespace VsockPair.Protocol;

/// <summary>Whole frames: a message to bytes and back.</summary>
public static class Frame
{
    public const int PrefixBytes = sizeof(uint);

    /// <returns>Bytes written, length prefix included.</returns>
    public static int Encode<T>(in T message, Span<byte> buffer)
        where T : struct, IMessage<T>
    {
        FrameWriter writer = new(buffer, T.Type, message.Fields);
        message.Write(ref writer);
        return writer.Finish();
    }

    /// <param name="body">A frame without its length prefix.</param>
    public static bool TryDecode<T>(ReadOnlySpan<byte> body, out T message)
        where T : struct, IMessage<T>
    {
        message = default;
        FrameReader reader = new(body);
        // What lies beyond the end of the array is no field of it.
        return reader.TryReadType(out MessageType type, out int fields) && type == T.Type && T.TryRead(ref reader, out message) && fields >= message.Fields;
    }

    public static bool TryReadType(ReadOnlySpan<byte> body, out MessageType type) => new FrameReader(body).TryReadType(out type, out _);

    /// <summary>Finds the first frame of <paramref name="received"/>.</summary>
    /// <param name="body">The frame without its prefix, in place.</param>
    /// <param name="limit">Most bytes of a frame, its prefix included.</param>
    public static FrameState TryTake(ReadOnlySpan<byte> received, int limit, out ReadOnlySpan<byte> body)
    {
        body = default;
        if (received.Length < PrefixBytes)
        {
            return FrameState.Incomplete;
        }
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(received);
        if (length == 0 || length > (uint)(limit - PrefixBytes))
        {
            return FrameState.BadLength;
        }
        if (received.Length - PrefixBytes < (int)length)
        {
            return FrameState.Incomplete;
        }
        body = received.Slice(PrefixBytes, (int)length);
        return FrameState.Whole;
    }
}
