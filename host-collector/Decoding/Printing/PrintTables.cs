namespace VsockPair.Decoding.Printing;

/// <summary>A line of <c>__print_flags</c> or <c>__print_symbolic</c>.</summary>
internal readonly record struct NamedValue(long Value, string Name)
{
    /// <summary>What some formats name without a number.</summary>
    private static readonly Dictionary<string, long> Known = new(StringComparer.Ordinal)
    {
        ["HI_SOFTIRQ"] = 0,
        ["TIMER_SOFTIRQ"] = 1,
        ["NET_TX_SOFTIRQ"] = 2,
        ["NET_RX_SOFTIRQ"] = 3,
        ["BLOCK_SOFTIRQ"] = 4,
        ["IRQ_POLL_SOFTIRQ"] = 5,
        ["TASKLET_SOFTIRQ"] = 6,
        ["SCHED_SOFTIRQ"] = 7,
        ["HRTIMER_SOFTIRQ"] = 8,
        ["RCU_SOFTIRQ"] = 9,
        ["HRTIMER_NORESTART"] = 0,
        ["HRTIMER_RESTART"] = 1,
    };

    /// <summary>Negative and unknown ones are all -1, as in libtraceevent.</summary>
    public static long Evaluate(string text, ulong value) =>
        char.IsAsciiDigit(text.FirstOrDefault()) ? (long)value : Known.GetValueOrDefault(text, -1);
}

/// <summary><c>__print_flags(value, delimiter, { bits, "name" }, …)</c>.</summary>
internal sealed class FlagsNode(PrintNode value, string delimiter, NamedValue[] flags) : PrintNode
{
    public override int Depth { get; } = value.Depth + 1;

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        ulong rest = value.Number(context);
        bool isFirst = true;
        foreach (NamedValue flag in flags)
        {
            if (rest == 0 && flag.Value < 0)
            {
                conversion.AppendLatin1(target, flag.Name);
                break;
            }
            if (flag.Value > 0 && (rest & (ulong)flag.Value) == (ulong)flag.Value)
            {
                AppendDelimiter(target, ref isFirst);
                conversion.AppendLatin1(target, flag.Name);
                rest &= ~(ulong)flag.Value;
            }
        }
        if (rest != 0)
        {
            AppendDelimiter(target, ref isFirst);
            target.Append("0x"u8);
            target.AppendHex(rest);
        }
    }

    private void AppendDelimiter(TextLine target, ref bool isFirst)
    {
        if (!isFirst)
        {
            target.AppendLatin1(delimiter);
        }
        isFirst = false;
    }
}

/// <summary><c>__print_symbolic(value, { number, "name" }, …)</c>.</summary>
internal sealed class SymbolicNode(PrintNode value, NamedValue[] names) : PrintNode
{
    public override int Depth { get; } = value.Depth + 1;

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        ulong number = value.Number(context);
        foreach (NamedValue name in names)
        {
            if (name.Value == (long)number)
            {
                conversion.AppendLatin1(target, name.Name);
                return;
            }
        }
        target.Append("0x"u8);
        target.AppendHex(number);
    }
}
