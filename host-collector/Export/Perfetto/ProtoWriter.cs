using System.Text;
using System.Text.Unicode;

namespace VsockPair.Export.Perfetto;

/// <summary>Protobuf's wire format, as far as Perfetto's messages need it: varints, and what has a length.</summary>
internal sealed class ProtoWriter
{
    private const int VarintType = 0;
    private const int LengthType = 2;
    private const int MostVarintBytes = 10;

    private byte[] _bytes = new byte[1 << 12];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, Length);

    public void Clear() => Length = 0;

    public void Number(int field, ulong value)
    {
        Varint((ulong)(field << 3) | VarintType);
        Varint(value);
    }

    /// <summary>A negative number takes ten bytes, as protobuf has it for <c>int32</c> and <c>int64</c>.</summary>
    public void Number(int field, long value) => Number(field, (ulong)value);

    public void Bool(int field, bool value) => Number(field, value ? 1UL : 0);

    /// <summary>A string field: what is no UTF-8 becomes U+FFFD, which readers need not be able to do.</summary>
    public void Text(int field, ReadOnlySpan<byte> text)
    {
        if (Utf8.IsValid(text))
        {
            Message(field, text);
        }
        else
        {
            Text(field, Encoding.UTF8.GetString(text));
        }
    }

    public void Text(int field, string text) => Message(field, Encoding.UTF8.GetBytes(text));

    /// <summary>A whole message, or bytes.</summary>
    public void Message(int field, ReadOnlySpan<byte> content)
    {
        Varint((ulong)(field << 3) | LengthType);
        Varint((ulong)content.Length);
        Reserve(content.Length);
        content.CopyTo(_bytes.AsSpan(Length));
        Length += content.Length;
    }

    /// <returns>To be given to <see cref="End"/>.</returns>
    public int Begin(int field)
    {
        Varint((ulong)(field << 3) | LengthType);
        // One byte for the length: most messages are short, and a longer one is moved.
        Reserve(1);
        return ++Length;
    }

    public void End(int start)
    {
        int length = Length - start;
        int extra = 0;
        for (int rest = length >> 7; rest > 0; rest >>= 7)
        {
            extra++;
        }
        if (extra > 0)
        {
            Reserve(extra);
            _bytes.AsSpan(start, length).CopyTo(_bytes.AsSpan(start + extra));
        }
        Length = start - 1;
        Varint((ulong)length);
        Length += length;
    }

    private void Varint(ulong value)
    {
        Reserve(MostVarintBytes);
        while (value > 0x7F)
        {
            _bytes[Length++] = (byte)(value | 0x80);
            value >>= 7;
        }
        _bytes[Length++] = (byte)value;
    }

    private void Reserve(int count)
    {
        if (count > _bytes.Length - Length)
        {
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, Length + count));
        }
    }
}
