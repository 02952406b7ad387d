using VsockPair.Protocol;

namespace VsockPair.Shared.Tests;

internal delegate int EncodeExample(Span<byte> buffer);

internal delegate int EncodeAgain(ReadOnlySpan<byte> body, Span<byte> buffer);

/// <summary>One example: how it is written, and how its bytes are read and written again.</summary>
internal sealed record ProtocolExample(EncodeExample Encode, EncodeAgain EncodeAgain)
{
    public static ProtocolExample Of<T>(T message)
        where T : struct, IMessage<T> =>
        new(
            buffer => Frame.Encode(message, buffer),
            (body, buffer) => Frame.TryDecode(body, out T read) ? Frame.Encode(read, buffer) : -1);

    public byte[] Bytes()
    {
        byte[] buffer = new byte[Wire.MaxFrameBytes];
        return buffer[..Encode(buffer)];
    }
}
