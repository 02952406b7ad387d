using System.Text;

namespace VsockPair.Decoding;

/// <summary>
/// Bytes of text under construction, reused from event to event. What guests chose is in it as it came: whoever writes it to a terminal escapes it.
/// Holds at most <see cref="Limit"/> bytes; the rest is cut off, and <see cref="IsCut"/> says so.
/// A line feed in it is a byte of some text like any other, unless <see cref="AppendLines"/> put it there: then a further line begins behind it.
/// </summary>
public sealed class TextLine
{
    private readonly List<int> _lineFeeds = [];
    private byte[] _bytes = new byte[512];

    public int Length { get; private set; }

    public bool IsCut { get; private set; }

    /// <summary>Whoever prints what a guest chose sets one.</summary>
    public int Limit { get; set; } = Array.MaxLength;

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, Length);

    public int LineCount => _lineFeeds.Count + 1;

    /// <summary>One of its lines, which may still hold line feeds that are text.</summary>
    public ReadOnlySpan<byte> Line(int index)
    {
        int start = index == 0 ? 0 : _lineFeeds[index - 1] + 1;
        return _bytes.AsSpan(start, (index < _lineFeeds.Count ? _lineFeeds[index] : Length) - start);
    }

    public void Clear()
    {
        Length = 0;
        _lineFeeds.Clear();
        IsCut = false;
    }

    /// <summary>Goes back to what it was when it had this length.</summary>
    public void Truncate(int length)
    {
        Length = Math.Min(Length, length);
        while (_lineFeeds is [.., int last] && last >= Length)
        {
            _lineFeeds.RemoveAt(_lineFeeds.Count - 1);
        }
    }

    public void Append(byte value) => Reserve(1).Fill(value);

    public void Append(char latin1) => Append((byte)latin1);

    public void Append(byte value, int times)
    {
        if (times > 0)
        {
            Reserve(times).Fill(value);
        }
    }

    public void Append(ReadOnlySpan<byte> text)
    {
        Span<byte> target = Reserve(text.Length);
        text[..target.Length].CopyTo(target);
    }

    /// <summary>
    /// Text of ours or of a format, whose line feeds begin a line where <c>=&gt; </c> or a tab follows, as in stacks: no format can make up a line that looks like an event or a loss.
    /// </summary>
    public void AppendLines(ReadOnlySpan<byte> text)
    {
        int start = Length;
        Append(text);
        for (int at = 0; at < text.Length && start + at < Length; at++)
        {
            if (text[at] == '\n' && (text[(at + 1)..].StartsWith("=> "u8) || text[(at + 1)..].StartsWith("\t"u8)))
            {
                _lineFeeds.Add(start + at);
            }
        }
    }

    /// <summary>Text of a format file.</summary>
    public void AppendLatin1(ReadOnlySpan<char> text)
    {
        Span<byte> target = Reserve(text.Length);
        Encoding.Latin1.GetBytes(text[..target.Length], target);
    }

    public void AppendDecimal(long value)
    {
        Span<byte> digits = stackalloc byte[20];
        System.Buffers.Text.Utf8Formatter.TryFormat(value, digits, out int bytes);
        Append(digits[..bytes]);
    }

    public void AppendDecimal(ulong value)
    {
        Span<byte> digits = stackalloc byte[20];
        System.Buffers.Text.Utf8Formatter.TryFormat(value, digits, out int bytes);
        Append(digits[..bytes]);
    }

    /// <summary>Lower case, without leading zeros beyond <paramref name="minDigits"/>.</summary>
    public void AppendHex(ulong value, int minDigits = 1)
    {
        Span<byte> digits = stackalloc byte[16];
        int at = digits.Length;
        while (value != 0 || digits.Length - at < minDigits)
        {
            int digit = (int)(value & 15);
            digits[--at] = (byte)(digit < 10 ? '0' + digit : 'a' + digit - 10);
            value >>= 4;
        }
        Append(digits[at..]);
    }

    public override string ToString() => Encoding.UTF8.GetString(Bytes);

    private Span<byte> Reserve(int count)
    {
        int room = Math.Max(0, Limit - Length);
        if (count > room)
        {
            count = room;
            IsCut = true;
        }
        if (count > _bytes.Length - Length)
        {
            Array.Resize(ref _bytes, Math.Max(Length + count, (int)Math.Min(_bytes.Length * 2L, Array.MaxLength)));
        }
        Length += count;
        return _bytes.AsSpan(Length - count, count);
    }
}
