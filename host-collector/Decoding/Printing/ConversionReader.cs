using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace VsockPair.Decoding.Printing;

/// <summary>Divides the text of a print format into literal parts and conversions, and gives each conversion its argument.</summary>
internal sealed class ConversionReader(string text, IReadOnlyList<PrintNode> arguments)
{
    private readonly List<PrintProgram.Part> _parts = [];
    private int _at;
    private int _argument;

    /// <returns>False when an argument is missing.</returns>
    public bool TryRead([NotNullWhen(true)] out PrintProgram.Part[]? parts)
    {
        parts = null;
        StringBuilder literal = new();
        while (_at < text.Length)
        {
            char c = text[_at++];
            if (c == '\\' && _at < text.Length)
            {
                char escaped = text[_at++];
                literal.Append(escaped switch { 'n' => '\n', 't' => '\t', 'r' => '\r', _ => escaped });
            }
            else if (c == '%' && _at < text.Length && text[_at] == '%')
            {
                _at++;
                literal.Append('%');
            }
            else if (c == '%')
            {
                Flush(literal);
                if (!TryConversion(literal))
                {
                    return false;
                }
            }
            else
            {
                literal.Append(c);
            }
        }
        Flush(literal);
        parts = [.. _parts];
        return true;
    }

    private void Flush(StringBuilder literal)
    {
        if (literal.Length > 0)
        {
            _parts.Add(PrintProgram.Part.Text(literal.ToString()));
            literal.Clear();
        }
    }

    // Flags, width, precision and length, in the lenient order that libtraceevent takes them.
    private bool TryConversion(StringBuilder literal)
    {
        Conversion conversion = new() { Specifier = 'd', Precision = -1 };
        PrintNode? lengthArgument = null;
        bool isPrecision = false;
        for (; _at < text.Length; _at++)
        {
            char c = text[_at];
            switch (c)
            {
                case '-': conversion = conversion with { IsLeft = true }; break;
                case '+': conversion = conversion with { HasSign = true }; break;
                case '#': conversion = conversion with { IsAlternate = true }; break;
                case '.':
                    isPrecision = true;
                    conversion = conversion with { Precision = 0 };
                    break;
                case '0' when !isPrecision && conversion.Width == 0:
                    conversion = conversion with { HasZeros = true };
                    break;
                case >= '0' and <= '9':
                    conversion = isPrecision
                        ? conversion with { Precision = Math.Min(conversion.Precision * 10 + c - '0', Conversion.MaxWidth) }
                        : conversion with { Width = Math.Min(conversion.Width * 10 + c - '0', Conversion.MaxWidth) };
                    break;
                case '*':
                    if (lengthArgument is not null || !TryArgument(out lengthArgument))
                    {
                        return false;
                    }
                    break;
                case 'h': conversion = conversion with { Length = conversion.Length - 1 }; break;
                case 'l': conversion = conversion with { Length = conversion.Length + 1 }; break;
                case 'L': conversion = conversion with { Length = 2 }; break;
                case 'z' or 'Z': conversion = conversion with { Length = 1 }; break;
                case 'c' or 'd' or 'u' or 'i' or 'x' or 'X' or 'o' or 's' or 'p':
                    _at++;
                    string pointer = c == 'p' ? PointerText.TakeExtension(text, ref _at) : "";
                    if (conversion.Length is < -2 or > 2 || !TryArgument(out PrintNode? argument))
                    {
                        return false;
                    }
                    if (pointer is ['h', ..] && lengthArgument is null)
                    {
                        conversion = conversion with { Width = 1 };
                    }
                    _parts.Add(new PrintProgram.Part([], conversion with { Specifier = c, Pointer = pointer }, argument, lengthArgument, isPrecision));
                    return true;
                default:
                    // Not a conversion that anybody knows: shown as libtraceevent shows it.
                    _at++;
                    literal.Append('>').Append(c).Append('<');
                    return true;
            }
        }
        return true;
    }

    private bool TryArgument([NotNullWhen(true)] out PrintNode? argument)
    {
        argument = _argument < arguments.Count ? arguments[_argument++] : null;
        return argument is not null;
    }
}
