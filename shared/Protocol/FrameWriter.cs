using System.Buffers.Binary;
using System.Text;
using MessagePack;

namespace VsockPair.Protocol;

/// <summary>
/// Writes one frame into a caller's buffer: u32 length (little endian), then a MessagePack array that begins with the message type.
/// A frame that does not fit is a fault of the caller, not of the peer, and throws.
/// </summary>
public ref struct FrameWriter
{
    private const int PrefixBytes = sizeof(uint);

    private readonly Span<byte> _buffer;
    private int _length = PrefixBytes;

    /// <param name="fields">Elements after the type.</param>
    public FrameWriter(Span<byte> buffer, MessageType type, int fields)
    {
        _buffer = buffer[..Math.Min(buffer.Length, Wire.MaxFrameBytes)];
        WriteArrayHeader(fields + 1);
        Write((uint)type);
    }

    public void Write(ulong value) => Advance(MessagePackPrimitives.TryWrite(_buffer[_length..], value, out int n), n);

    public void Write(long value) => Advance(MessagePackPrimitives.TryWrite(_buffer[_length..], value, out int n), n);

    public void WriteNil() => Advance(MessagePackPrimitives.TryWriteNil(_buffer[_length..], out int n), n);

    public void WriteArrayHeader(int count) => Advance(MessagePackPrimitives.TryWriteArrayHeader(_buffer[_length..], (uint)count, out int n), n);

    public void Write(scoped ReadOnlySpan<byte> bytes)
    {
        Advance(MessagePackPrimitives.TryWriteBinHeader(_buffer[_length..], (uint)bytes.Length, out int n), n);
        bool fits = bytes.TryCopyTo(_buffer[_length..]);
        Advance(fits, bytes.Length);
    }

    /// <summary>16 bytes in the order of the text form.</summary>
    public void Write(Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        Write(bytes);
    }

    /// <summary>Text is cut at <see cref="Wire.MaxStringBytes"/>.</summary>
    public void Write(string text)
    {
        Span<byte> utf8 = stackalloc byte[Wire.MaxStringBytes];
        Encoding.UTF8.GetEncoder().Convert(text, utf8, flush: true, out _, out int bytes, out _);
        Advance(MessagePackPrimitives.TryWriteStringHeader(_buffer[_length..], (uint)bytes, out int n), n);
        bool fits = utf8[..bytes].TryCopyTo(_buffer[_length..]);
        Advance(fits, bytes);
    }

    public void Write(IReadOnlyList<string> texts)
    {
        WriteArrayHeader(texts.Count);
        foreach (string text in texts)
        {
            Write(text);
        }
    }

    /// <summary>A number, or nil for "not known".</summary>
    public void Write(long? value)
    {
        if (value is long known)
        {
            Write(known);
        }
        else
        {
            WriteNil();
        }
    }

    /// <summary>The whole frame, prefix included: its number of bytes in the buffer.</summary>
    public readonly int Finish()
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer, (uint)(_length - PrefixBytes));
        return _length;
    }

    private void Advance(bool fits, int bytes)
    {
        if (!fits)
        {
            throw new InvalidOperationException($"The frame does not fit into {_buffer.Length} bytes.");
        }
        _length += bytes;
    }
}
