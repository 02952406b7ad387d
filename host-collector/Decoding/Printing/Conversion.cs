namespace VsockPair.Decoding.Printing;

/// <summary>One <c>%</c> of a print format: how a value becomes text. Follows printf.</summary>
internal readonly record struct Conversion
{
    /// <summary>No format of a kernel pads further, and a hostile one shall not make megabytes of spaces.</summary>
    public const int MaxWidth = 1024;

    /// <summary><c>%s</c>.</summary>
    public static Conversion PlainText { get; } = new() { Specifier = 's', Precision = -1 };

    /// <summary>d, i, u, x, X, o, c, s or p.</summary>
    public required char Specifier { get; init; }

    public bool IsLeft { get; init; }

    public bool HasSign { get; init; }

    public bool HasSpace { get; init; }

    public bool IsAlternate { get; init; }

    public bool HasZeros { get; init; }

    public int Width { get; init; }

    /// <summary>-1 when there is none.</summary>
    public required int Precision { get; init; }

    /// <summary>-2 for <c>hh</c>, -1 for <c>h</c>, 0, 1 for <c>l</c>, 2 for <c>ll</c>.</summary>
    public int Length { get; init; }

    /// <summary>What follows the p: <c>S</c>, <c>I4</c>, …</summary>
    public string Pointer { get; init; } = "";

    public Conversion()
    {
    }

    public void AppendText(TextLine target, ReadOnlySpan<byte> text)
    {
        ReadOnlySpan<byte> shown = Precision >= 0 && Precision < text.Length ? text[..Precision] : text;
        int padding = Width - shown.Length;
        target.Append((byte)' ', IsLeft ? 0 : padding);
        target.Append(shown);
        target.Append((byte)' ', IsLeft ? padding : 0);
    }

    public void AppendLatin1(TextLine target, ReadOnlySpan<char> text)
    {
        ReadOnlySpan<char> shown = Precision >= 0 && Precision < text.Length ? text[..Precision] : text;
        int padding = Width - shown.Length;
        target.Append((byte)' ', IsLeft ? 0 : padding);
        target.AppendLatin1(shown);
        target.Append((byte)' ', IsLeft ? padding : 0);
    }

    public void AppendNumber(TextLine target, ulong value)
    {
        if (Specifier == 'c')
        {
            AppendText(target, [(byte)value]);
            return;
        }
        long signed = Length switch { -2 => (sbyte)value, -1 => (short)value, 0 => (int)value, _ => (long)value };
        bool isDecimal = Specifier is 'd' or 'i';
        bool isNegative = isDecimal && signed < 0;
        ulong magnitude = isNegative ? unchecked(0 - (ulong)signed) : isDecimal ? (ulong)signed
            : Length switch { -2 => (byte)value, -1 => (ushort)value, 0 => (uint)value, _ => value };

        // 64 bits in octal.
        Span<byte> digits = stackalloc byte[24];
        int at = digits.Length;
        uint numberBase = Specifier is 'x' or 'X' ? 16u : Specifier == 'o' ? 8u : 10u;
        ReadOnlySpan<byte> symbols = Specifier == 'X' ? "0123456789ABCDEF"u8 : "0123456789abcdef"u8;
        for (ulong rest = magnitude; rest != 0; rest /= numberBase)
        {
            digits[--at] = symbols[(int)(rest % numberBase)];
        }
        if (at == digits.Length && Precision != 0)
        {
            digits[--at] = (byte)'0';
        }
        ReadOnlySpan<byte> number = digits[at..];
        ReadOnlySpan<byte> prefix = isNegative ? "-"u8 : isDecimal && HasSign ? "+"u8 : isDecimal && HasSpace ? " "u8
            : IsAlternate && magnitude != 0 ? Specifier switch { 'x' => "0x"u8, 'X' => "0X"u8, 'o' => "0"u8, _ => ""u8 } : ""u8;
        int zeros = Math.Max(0, Precision - number.Length);
        int padding = Width - prefix.Length - zeros - number.Length;
        bool padsWithZeros = HasZeros && !IsLeft && Precision < 0;
        if (padsWithZeros)
        {
            zeros += Math.Max(0, padding);
            padding = 0;
        }
        target.Append((byte)' ', IsLeft ? 0 : padding);
        target.Append(prefix);
        target.Append((byte)'0', zeros);
        target.Append(number);
        target.Append((byte)' ', IsLeft ? padding : 0);
    }
}
