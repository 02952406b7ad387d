namespace VsockPair.Decoding.Printing;

/// <summary>Functions of the kernel that print formats call, and that libtraceevent's plugins know. Named as there.</summary>
internal enum KernelFunction
{
    jbd2_dev_to_name,
    jiffies_to_msecs,
    is_writable_pte,
    __le16_to_cpup,
}

/// <summary>A call of one of them.</summary>
internal sealed class FunctionNode(KernelFunction function, PrintNode[] arguments) : PrintNode
{
    private const int MinorBits = 20;
    private const ulong WritablePte = 2;

    public override int Depth { get; } = arguments.Max(a => a.Depth) + 1;

    public static int ArgumentsOf(KernelFunction function) => function switch
    {
        _ => 1,
    };

    public override ulong Number(in PrintContext context)
    {
        ulong value = arguments[0].Number(context);
        return function switch
        {
            KernelFunction.jiffies_to_msecs => value,
            KernelFunction.is_writable_pte => value & WritablePte,
            KernelFunction.__le16_to_cpup => value & 0xFFFF,
            _ => 0,
        };
    }

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        ulong value = arguments[0].Number(context);
        switch (function)
        {
            case KernelFunction.jbd2_dev_to_name:
                target.AppendDecimal((uint)value >> MinorBits);
                target.Append(':');
                target.AppendDecimal((uint)value & ((1u << MinorBits) - 1));
                break;
            case KernelFunction.jiffies_to_msecs:
                target.AppendDecimal((long)value);
                break;
        }
    }
}

/// <summary><c>__print_ns_to_secs</c> and <c>__print_ns_without_secs</c>: whole seconds of a time in nanoseconds, or what is left without them.</summary>
internal sealed class SecondsNode(PrintNode time, bool isRest) : PrintNode
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    public override int Depth { get; } = time.Depth + 1;

    public override ulong Number(in PrintContext context)
    {
        ulong value = time.Number(context);
        return isRest ? value % NanosecondsPerSecond : value / NanosecondsPerSecond;
    }
}
