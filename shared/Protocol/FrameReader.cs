using System.Buffers.Binary;
using System.Text;
using MessagePack;

namespace VsockPair.Protocol;

/// <summary>
/// Reads the elements of one frame body. A peer's bytes never throw and never make it allocate more than they hold: every call answers whether
/// the element was there, of the right kind and within its limit. Elements that a newer peer appended are simply not read.
/// </summary>
public ref struct FrameReader(ReadOnlySpan<byte> body)
{
    private ReadOnlySpan<byte> _rest = body;

    public readonly int Remaining => _rest.Length;

    /// <summary>Elements after the type, once that was read.</summary>
    public int Fields { get; private set; }

    /// <param name="fields">Elements after the type.</param>
    public bool TryReadType(out MessageType type, out int fields)
    {
        type = 0;
        fields = 0;
        if (!TryReadArrayHeader(int.MaxValue, out int count) || count < 1 || !TryRead(out uint number))
        {
            return false;
        }
        type = (MessageType)number;
        fields = Fields = count - 1;
        return true;
    }

    public bool TryRead(out ulong value)
    {
        bool read = TryReadInteger(out Int128 number) && number >= ulong.MinValue && number <= ulong.MaxValue;
        value = read ? (ulong)number : 0;
        return read;
    }

    public bool TryRead(out long value)
    {
        bool read = TryReadInteger(out Int128 number) && number >= long.MinValue && number <= long.MaxValue;
        value = read ? (long)number : 0;
        return read;
    }

    public bool TryRead(out uint value)
    {
        bool read = TryReadInteger(out Int128 number) && number >= uint.MinValue && number <= uint.MaxValue;
        value = read ? (uint)number : 0;
        return read;
    }

    /// <summary>A whole number from 0 to <paramref name="largest"/>.</summary>
    public bool TryRead(int largest, out int value)
    {
        bool read = TryRead(out uint number) && number <= (uint)largest;
        value = read ? (int)number : 0;
        return read;
    }

    /// <summary>A number, or nil for "not known".</summary>
    public bool TryRead(out long? value)
    {
        value = null;
        if (MessagePackPrimitives.TryReadNil(_rest, out int n) == MessagePackPrimitives.DecodeResult.Success)
        {
            _rest = _rest[n..];
            return true;
        }
        bool read = TryRead(out long number);
        value = number;
        return read;
    }

    public bool TryReadArrayHeader(int most, out int count)
    {
        bool read = Advance(MessagePackPrimitives.TryReadArrayHeader(_rest, out uint number, out int n), n)
            // Each element takes a byte at least, so a count above what is left is a lie.
            && number <= (uint)Math.Min(most, _rest.Length);
        count = read ? (int)number : 0;
        return read;
    }

    /// <summary>An array of texts. It grows as they are found: the count is only a claim.</summary>
    public bool TryReadTexts(int most, out IReadOnlyList<string> texts)
    {
        List<string> found = [];
        texts = found;
        if (!TryReadArrayHeader(most, out int count))
        {
            return false;
        }
        while (found.Count < count && TryRead(out string text))
        {
            found.Add(text);
        }
        return found.Count == count;
    }

    /// <summary>Bytes in place, valid as long as the body is.</summary>
    public bool TryReadBytes(int most, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        return Advance(MessagePackPrimitives.TryReadBinHeader(_rest, out uint length, out int n), n) && TryTake(length, most, out bytes);
    }

    public bool TryRead(out Guid id)
    {
        bool read = TryReadBytes(16, out ReadOnlySpan<byte> bytes) && bytes.Length == 16;
        id = read ? new Guid(bytes, bigEndian: true) : default;
        return read;
    }

    /// <summary>UTF-8 text of at most <see cref="Wire.MaxStringBytes"/> bytes; invalid sequences become U+FFFD.</summary>
    public bool TryRead(out string text)
    {
        text = "";
        if (!Advance(MessagePackPrimitives.TryReadStringHeader(_rest, out uint length, out int n), n)
            || !TryTake(length, Wire.MaxStringBytes, out ReadOnlySpan<byte> utf8))
        {
            return false;
        }
        text = Encoding.UTF8.GetString(utf8);
        return true;
    }

    /// <summary>Of any width. Not MessagePackPrimitives.TryReadInt64 and its like: they throw OverflowException for a number out of their range.</summary>
    private bool TryReadInteger(out Int128 value)
    {
        value = 0;
        if (_rest.IsEmpty)
        {
            return false;
        }
        byte code = _rest[0];
        int bytes = code switch
        {
            <= MessagePackCode.MaxFixInt or >= MessagePackCode.MinNegativeFixInt => 0,
            MessagePackCode.UInt8 or MessagePackCode.Int8 => 1,
            MessagePackCode.UInt16 or MessagePackCode.Int16 => 2,
            MessagePackCode.UInt32 or MessagePackCode.Int32 => 4,
            MessagePackCode.UInt64 or MessagePackCode.Int64 => 8,
            _ => -1,
        };
        if (bytes < 0 || bytes >= _rest.Length)
        {
            return false;
        }
        ReadOnlySpan<byte> number = _rest.Slice(1, bytes);
        value = code switch
        {
            MessagePackCode.UInt8 => number[0],
            MessagePackCode.UInt16 => BinaryPrimitives.ReadUInt16BigEndian(number),
            MessagePackCode.UInt32 => BinaryPrimitives.ReadUInt32BigEndian(number),
            MessagePackCode.UInt64 => BinaryPrimitives.ReadUInt64BigEndian(number),
            MessagePackCode.Int8 => (sbyte)number[0],
            MessagePackCode.Int16 => BinaryPrimitives.ReadInt16BigEndian(number),
            MessagePackCode.Int32 => BinaryPrimitives.ReadInt32BigEndian(number),
            MessagePackCode.Int64 => BinaryPrimitives.ReadInt64BigEndian(number),
            _ => (sbyte)code,
        };
        _rest = _rest[(1 + bytes)..];
        return true;
    }

    private bool TryTake(uint length, int most, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        if (length > (uint)Math.Min(most, _rest.Length))
        {
            return false;
        }
        bytes = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return true;
    }

    private bool Advance(MessagePackPrimitives.DecodeResult result, int bytes)
    {
        if (result != MessagePackPrimitives.DecodeResult.Success)
        {
            return false;
        }
        _rest = _rest[bytes..];
        return true;
    }
}
