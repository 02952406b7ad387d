using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace VsockPair.Decoding.Printing;

/// <summary>
/// Parses the C expressions of print formats. The text is a guest's: what is nested or chained deeper than <see cref="MaxDepth"/> is refused, and so is
/// all that is not understood, so that the event is shown field by field.
/// </summary>
internal sealed partial class PrintParser(PrintScanner scanner, EventFormat format)
{
    /// <summary>Of brackets while parsing, and of the tree while evaluating. Real formats stay below 50.</summary>
    private const int MaxDepth = 200;

    /// <summary>What is longer is no type.</summary>
    private const int MaxTypeName = 256;

    /// <summary>How loosely each operator binds.</summary>
    private static readonly Dictionary<string, (PrintOperator Operator, int Looseness)> Operators = new(StringComparer.Ordinal)
    {
        ["*"] = (PrintOperator.Multiply, 6),
        ["/"] = (PrintOperator.Divide, 6),
        ["%"] = (PrintOperator.Modulo, 6),
        ["+"] = (PrintOperator.Add, 7),
        ["-"] = (PrintOperator.Subtract, 7),
        ["<<"] = (PrintOperator.ShiftLeft, 8),
        [">>"] = (PrintOperator.ShiftRight, 8),
        ["<"] = (PrintOperator.Less, 9),
        ["<="] = (PrintOperator.LessOrEqual, 9),
        [">"] = (PrintOperator.Greater, 9),
        [">="] = (PrintOperator.GreaterOrEqual, 9),
        ["=="] = (PrintOperator.Equal, 10),
        ["!="] = (PrintOperator.NotEqual, 10),
        ["&"] = (PrintOperator.And, 11),
        ["^"] = (PrintOperator.Xor, 12),
        ["|"] = (PrintOperator.Or, 13),
        ["&&"] = (PrintOperator.LogicalAnd, 14),
        ["||"] = (PrintOperator.LogicalOr, 15),
        ["?"] = (default, 16),
    };

    private int _depth;

    /// <summary>An argument: everything up to a comma, a colon or a closing bracket.</summary>
    public bool TryExpression([NotNullWhen(true)] out PrintNode? node)
    {
        node = ++_depth <= MaxDepth && TryUnary(out PrintNode? first) && TryOperations(first, out PrintNode? whole) ? whole : null;
        _depth--;
        return node is not null;
    }

    /// <summary>
    /// The operators that follow a node, grouped as libtraceevent groups them, because the text is to be trace-cmd's. It differs from C where it does not come back to
    /// an operator that binds more loosely than the last one (a - b - c is a - (b - c)), and where the right side stands in brackets and binds more loosely
    /// than the operator before it: <c>a &amp; (b | c)</c> becomes <c>(a &amp; b) | c</c>, which is why trace-cmd shows timers' flags that are not set.
    /// </summary>
    private bool TryOperations(PrintNode left, [NotNullWhen(true)] out PrintNode? node)
    {
        node = left;
        if (scanner.Token != PrintToken.Symbol || !Operators.TryGetValue(scanner.Value, out (PrintOperator Operator, int Looseness) known))
        {
            return true;
        }
        node = null;
        bool isQuestion = scanner.Value == "?";
        scanner.Next();
        if (++_depth <= MaxDepth && (isQuestion ? TryChoice(left, out PrintNode? result) : TryOperation(known.Operator, known.Looseness, left, out result))
            && result.Depth <= MaxDepth)
        {
            node = result;
        }
        _depth--;
        return node is not null;
    }

    private bool TryChoice(PrintNode condition, [NotNullWhen(true)] out PrintNode? node)
    {
        if (TryExpression(out PrintNode? first) && scanner.TrySymbol(":") && TryUnary(out PrintNode? second))
        {
            return TryOperations(new ConditionalNode(condition, first, second), out node);
        }
        node = null;
        return false;
    }

    private bool TryOperation(PrintOperator operation, int looseness, PrintNode left, [NotNullWhen(true)] out PrintNode? node)
    {
        node = null;
        if (!TryUnary(out PrintNode? right))
        {
            return false;
        }
        bool isRegrouped = right.Looseness > looseness;
        node = isRegrouped ? right.WithLeft(inner => new BinaryNode(operation, looseness, left, inner)) : new BinaryNode(operation, looseness, left, right);
        int outer = isRegrouped ? right.Looseness : looseness;
        if (scanner.Token != PrintToken.Symbol || !Operators.TryGetValue(scanner.Value, out (PrintOperator Operator, int Looseness) next))
        {
            return true;
        }
        if (next.Looseness > outer)
        {
            return TryOperations(node, out node);
        }
        if (isRegrouped)
        {
            return false;
        }
        node = TryOperations(right, out PrintNode? longer) ? new BinaryNode(operation, looseness, left, longer) : null;
        return node is not null;
    }

    private bool TryUnary([NotNullWhen(true)] out PrintNode? node)
    {
        node = null;
        if (scanner.Token == PrintToken.Symbol && scanner.Value is "-" or "+" or "~" or "!")
        {
            char operation = scanner.Value[0];
            scanner.Next();
            if (++_depth <= MaxDepth && TryUnary(out PrintNode? operand))
            {
                node = new UnaryNode(operation, operand);
            }
            _depth--;
            return node is not null && node.Depth <= MaxDepth;
        }
        return TryPrimary(out node) && TryIndices(ref node);
    }

    private bool TryIndices([NotNullWhen(true)] ref PrintNode? node)
    {
        while (scanner.TrySymbol("["))
        {
            if (node is null || !TryExpression(out PrintNode? index) || !scanner.TrySymbol("]"))
            {
                return false;
            }
            node = new IndexNode(node, index);
        }
        return node is not null && node.Depth <= MaxDepth;
    }

    private bool TryPrimary([NotNullWhen(true)] out PrintNode? node)
    {
        node = null;
        switch (scanner.Token)
        {
            case PrintToken.Text:
                node = new StringNode(scanner.Value);
                scanner.Next();
                return true;
            case PrintToken.Character:
                node = new AtomNode(scanner.Value, scanner.Value.FirstOrDefault());
                scanner.Next();
                return true;
            case PrintToken.Word:
                return TryName(out node);
            case PrintToken.Symbol when scanner.Value == "(":
                return TryBracket(out node);
            default:
                return false;
        }
    }

    /// <summary>A cast, or an expression in brackets.</summary>
    private bool TryBracket([NotNullWhen(true)] out PrintNode? node)
    {
        node = null;
        var place = scanner.Place;
        scanner.Next();
        if (TryCastType(out string type))
        {
            if (++_depth <= MaxDepth && TryUnary(out PrintNode? operand))
            {
                node = new CastNode(type, operand);
            }
            _depth--;
            return node is not null && node.Depth <= MaxDepth;
        }
        scanner.Return(place);
        scanner.Next();
        if (scanner.IsWord("REC"))
        {
            // "(REC)->field" is as good as "REC->field".
            var inner = scanner.Place;
            scanner.Next();
            if (scanner.TrySymbol(")"))
            {
                return TryFieldOfRecord(out node);
            }
            scanner.Return(inner);
        }
        return TryExpression(out node) && scanner.TrySymbol(")");
    }

    /// <summary>Names and stars up to the closing bracket, and something that can be cast behind it.</summary>
    private bool TryCastType(out string type)
    {
        type = "";
        if (scanner.Token != PrintToken.Word || char.IsAsciiDigit(scanner.Value[0]) || scanner.Value == "REC")
        {
            return false;
        }
        type = TypeName();
        return scanner.TrySymbol(")") && (scanner.Token is PrintToken.Word or PrintToken.Text or PrintToken.Character || scanner.IsSymbol("(")
            || scanner.IsSymbol("~") || scanner.IsSymbol("!"));
    }

    /// <summary>Names and stars with one space between them.</summary>
    private string TypeName()
    {
        StringBuilder type = new();
        while ((scanner.Token == PrintToken.Word || scanner.IsSymbol("*")) && type.Length < MaxTypeName)
        {
            type.Append(type.Length == 0 ? "" : " ").Append(scanner.Value);
            scanner.Next();
        }
        return type.ToString();
    }

    private bool TryName([NotNullWhen(true)] out PrintNode? node)
    {
        string word = scanner.Value;
        scanner.Next();
        if (word == "REC")
        {
            return TryFieldOfRecord(out node);
        }
        if (scanner.TrySymbol("("))
        {
            return TryCall(word, out node);
        }
        while (scanner.Token == PrintToken.Word && word.Length < MaxTypeName)
        {
            // "unsigned long", of a cast that turns out not to be one.
            word += " " + scanner.Value;
            scanner.Next();
        }
        node = new AtomNode(word, ReadNumber(word));
        return true;
    }

    private bool TryFieldOfRecord([NotNullWhen(true)] out PrintNode? node)
    {
        node = scanner.TrySymbol("->") && scanner.TryWord(out string name) && format.Find(name) is { } field ? new FieldNode(field) : null;
        return node is not null;
    }

    /// <summary>As <c>strtoull</c> reads it with base 0: what follows the digits does not matter.</summary>
    internal static ulong ReadNumber(string word)
    {
        ReadOnlySpan<char> digits = word;
        if (digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            digits = digits[2..];
            int end = 0;
            while (end < digits.Length && char.IsAsciiHexDigit(digits[end]))
            {
                end++;
            }
            digits = digits[..end];
            return digits.IsEmpty ? 0 : ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong hex) ? hex : ulong.MaxValue;
        }
        ulong numberBase = digits is ['0', ..] ? 8u : 10u;
        ulong value = 0;
        foreach (char digit in digits)
        {
            ulong next = (ulong)(digit - '0');
            if (next >= numberBase)
            {
                break;
            }
            value = unchecked(value * numberBase + next);
        }
        return value;
    }
}
