namespace VsockPair.Decoding.Printing;

internal enum PrintOperator
{
    Multiply,
    Divide,
    Modulo,
    Add,
    Subtract,
    ShiftLeft,
    ShiftRight,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    And,
    Xor,
    Or,
    LogicalAnd,
    LogicalOr,
}

/// <summary><c>left + right</c> and its like.</summary>
internal sealed class BinaryNode(PrintOperator operation, int looseness, PrintNode left, PrintNode right) : PrintNode
{
    public override int Looseness => looseness;

    public override PrintNode WithLeft(Func<PrintNode, PrintNode> replace) => new BinaryNode(operation, looseness, replace(left), right);

    public override int Depth { get; } = Math.Max(left.Depth, right.Depth) + 1;

    public override ulong Number(in PrintContext context) => Apply(operation, left.Number(context), right.Number(context));

    public static ulong Apply(PrintOperator operation, ulong a, ulong b) => operation switch
    {
        PrintOperator.Multiply => unchecked(a * b),
        PrintOperator.Divide => b == 0 ? 0 : a / b,
        PrintOperator.Modulo => b == 0 ? 0 : a % b,
        PrintOperator.Add => unchecked(a + b),
        PrintOperator.Subtract => unchecked(a - b),
        PrintOperator.ShiftLeft => a << (int)(b & 63),
        PrintOperator.ShiftRight => a >> (int)(b & 63),
        PrintOperator.Less => a < b ? 1UL : 0,
        PrintOperator.LessOrEqual => a <= b ? 1UL : 0,
        PrintOperator.Greater => a > b ? 1UL : 0,
        PrintOperator.GreaterOrEqual => a >= b ? 1UL : 0,
        PrintOperator.Equal => a == b ? 1UL : 0,
        PrintOperator.NotEqual => a != b ? 1UL : 0,
        PrintOperator.And => a & b,
        PrintOperator.Xor => a ^ b,
        PrintOperator.Or => a | b,
        PrintOperator.LogicalAnd => a != 0 && b != 0 ? 1UL : 0,
        _ => a != 0 || b != 0 ? 1UL : 0,
    };
}

/// <summary><c>-</c>, <c>~</c>, <c>!</c>.</summary>
internal sealed class UnaryNode(char operation, PrintNode operand) : PrintNode
{
    public override int Depth { get; } = operand.Depth + 1;

    public override ulong Number(in PrintContext context) => Apply(operation, operand.Number(context));

    public static ulong Apply(char operation, ulong value) => operation switch
    {
        '-' => unchecked(0 - value),
        '~' => ~value,
        '!' => value == 0 ? 1UL : 0,
        _ => value,
    };
}

/// <summary><c>condition ? first : second</c>.</summary>
internal sealed class ConditionalNode(PrintNode condition, PrintNode first, PrintNode second) : PrintNode
{
    public override int Looseness => 16;

    public override PrintNode WithLeft(Func<PrintNode, PrintNode> replace) => new ConditionalNode(replace(condition), first, second);

    public override int Depth { get; } = Math.Max(condition.Depth, Math.Max(first.Depth, second.Depth)) + 1;

    public override ulong Number(in PrintContext context) => Chosen(context).Number(context);

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion) => Chosen(context).Text(target, context, conversion);

    public override bool TryBytes(in PrintContext context, out ReadOnlySpan<byte> bytes) => Chosen(context).TryBytes(context, out bytes);

    private PrintNode Chosen(in PrintContext context) => condition.Number(context) != 0 ? first : second;
}

/// <summary>A cast keeps the low bits and never extends a sign.</summary>
internal sealed class CastNode(string type, PrintNode operand) : PrintNode
{
    private readonly ulong _mask = MaskOf(type);

    /// <summary>What <c>((type *)array)[i]</c> keeps of an element.</summary>
    public ulong ElementMask { get; } = type.EndsWith('*') ? MaskOf(type[..^1].TrimEnd()) : ulong.MaxValue;

    public override int Depth { get; } = operand.Depth + 1;

    public override PrintNode Uncast => operand.Uncast;

    public override ulong Number(in PrintContext context) => operand.Number(context) & _mask;

    public override bool TryBytes(in PrintContext context, out ReadOnlySpan<byte> bytes) => operand.TryBytes(context, out bytes);

    private static ulong MaskOf(string type) => type switch
    {
        "u8" or "s8" or "char" or "unsigned char" => 0xFF,
        "u16" or "s16" or "short" or "unsigned short" => 0xFFFF,
        "u32" or "s32" or "int" or "unsigned int" => 0xFFFF_FFFF,
        _ => ulong.MaxValue,
    };
}

/// <summary><c>array[index]</c>.</summary>
internal sealed class IndexNode(PrintNode array, PrintNode index) : PrintNode
{
    private const int LongBytes = 8;

    public override int Depth { get; } = Math.Max(array.Depth, index.Depth) + 1;

    public override ulong Number(in PrintContext context)
    {
        ulong at = index.Number(context);
        ulong mask = array is CastNode cast ? cast.ElementMask : ulong.MaxValue;
        switch (array.Uncast)
        {
            case FieldNode node when at <= (ulong)context.Payload.Length:
                return context.Unsigned(node.Field.Offset + (long)at * node.Field.ElementSize, node.Field.ElementSize) & mask;
            case DynamicArrayNode node:
                int size = node.Field.ElementSize > 0 ? node.Field.ElementSize : LongBytes;
                ReadOnlySpan<byte> bytes = node.Field.Bytes(context.Payload);
                // The index counts bytes: so does libtraceevent.
                return at <= (ulong)bytes.Length && size <= bytes.Length - (int)at ? (ulong)FieldFormat.ReadInteger(bytes.Slice((int)at, size), isSigned: false) & mask : 0;
            default:
                return 0;
        }
    }
}
