namespace VsockPair.Decoding.Printing;

/// <summary><c>__print_hex(bytes, length)</c> and, without spaces, <c>__print_hex_str</c>.</summary>
internal sealed class HexNode(PrintNode bytes, PrintNode length, bool hasSpaces) : PrintNode
{
    public override int Depth { get; } = Math.Max(bytes.Depth, length.Depth) + 1;

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        if (!bytes.TryBytes(context, out ReadOnlySpan<byte> all))
        {
            return;
        }
        int count = (int)Math.Min(length.Number(context), (ulong)all.Length);
        for (int i = 0; i < count && !target.IsCut; i++)
        {
            if (i > 0 && hasSpaces)
            {
                target.Append(' ');
            }
            target.AppendHex(all[i], minDigits: 2);
        }
    }
}

/// <summary><c>__print_array(bytes, count, element size)</c>: decimal numbers with spaces, not the kernel's braces and hexadecimal ones.</summary>
internal sealed class NumbersNode(PrintNode bytes, PrintNode count, PrintNode elementSize) : PrintNode
{
    public override int Depth { get; } = Math.Max(bytes.Depth, Math.Max(count.Depth, elementSize.Depth)) + 1;

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        if (!bytes.TryBytes(context, out ReadOnlySpan<byte> all))
        {
            return;
        }
        ulong size = elementSize.Number(context);
        ulong left = count.Number(context);
        int at = 0;
        for (bool isFirst = true; left > 0 && !target.IsCut; left--, isFirst = false)
        {
            int step = size is 1 or 2 or 4 or 8 ? (int)size : 1;
            if (step > all.Length - at)
            {
                break;
            }
            target.Append(isFirst ? ""u8 : " "u8);
            ulong number = (ulong)FieldFormat.ReadInteger(all.Slice(at, step), isSigned: false);
            if (size is 1 or 2 or 4 or 8)
            {
                target.AppendDecimal(number);
            }
            else
            {
                target.Append("BAD SIZE:"u8);
                target.AppendDecimal((int)size);
                target.Append(" 0x"u8);
                target.AppendHex(number);
            }
            at += step;
        }
    }
}

/// <summary><c>__get_bitmask(name)</c>: hexadecimal, the highest word first.</summary>
internal sealed class BitmaskNode(FieldFormat field) : PrintNode
{
    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        ReadOnlySpan<byte> mask = field.Bytes(context.Payload);
        if (mask.IsEmpty)
        {
            return;
        }
        for (int i = mask.Length - 1; i >= 0 && !target.IsCut; i--)
        {
            target.AppendHex(mask[i], minDigits: 2);
            if (i > 0 && i % 4 == 0)
            {
                target.Append(',');
            }
        }
    }
}

/// <summary><c>__get_cpumask(name)</c>: <c>0-3,8</c>.</summary>
internal sealed class CpuMaskNode(FieldFormat field) : PrintNode
{
    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        ReadOnlySpan<byte> mask = field.Bytes(context.Payload);
        bool isFirst = true;
        int bits = mask.Length * 8;
        for (int first = 0; first < bits && !target.IsCut; first++)
        {
            if (!IsSet(mask, first))
            {
                continue;
            }
            int last = first;
            while (last + 1 < bits && IsSet(mask, last + 1))
            {
                last++;
            }
            target.Append(isFirst ? ""u8 : ","u8);
            isFirst = false;
            target.AppendDecimal((long)first);
            if (last > first)
            {
                target.Append('-');
                target.AppendDecimal((long)last);
            }
            first = last;
        }
    }

    private static bool IsSet(ReadOnlySpan<byte> mask, int bit) => (mask[bit / 8] >> (bit % 8) & 1) != 0;
}
