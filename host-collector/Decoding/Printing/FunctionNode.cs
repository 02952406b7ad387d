namespace VsockPair.Decoding.Printing;

/// <summary>Functions of the kernel that print formats call with one argument, and that libtraceevent's plugins know.</summary>
internal enum KernelFunction
{
    Jbd2DeviceToName,
    JiffiesToMilliseconds,
    IsWritablePte,
    LittleEndian16,
}

/// <summary>A call of one of them.</summary>
internal sealed class FunctionNode(KernelFunction function, PrintNode argument) : PrintNode
{
    private const int MinorBits = 20;
    private const ulong WritablePte = 2;

    public override int Depth { get; } = argument.Depth + 1;

    public static KernelFunction? Find(string name) => name switch
    {
        "jbd2_dev_to_name" => KernelFunction.Jbd2DeviceToName,
        "jiffies_to_msecs" => KernelFunction.JiffiesToMilliseconds,
        "is_writable_pte" => KernelFunction.IsWritablePte,
        "__le16_to_cpup" => KernelFunction.LittleEndian16,
        _ => null,
    };

    public override ulong Number(in PrintContext context)
    {
        ulong value = argument.Number(context);
        return function switch
        {
            // Jiffies, as libtraceevent has it: what a jiffy is stands nowhere.
            KernelFunction.JiffiesToMilliseconds => value,
            KernelFunction.IsWritablePte => value & WritablePte,
            KernelFunction.LittleEndian16 => value & 0xFFFF,
            _ => 0,
        };
    }

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        ulong value = argument.Number(context);
        switch (function)
        {
            case KernelFunction.Jbd2DeviceToName:
                target.AppendDecimal((uint)value >> MinorBits);
                target.Append(':');
                target.AppendDecimal((uint)value & ((1u << MinorBits) - 1));
                break;
            case KernelFunction.JiffiesToMilliseconds:
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
