namespace VsockPair.Decoding.Printing;

/// <summary><c>bash:123 [120] S ==> swapper/0:0 [120]</c>.</summary>
internal sealed class SchedSwitchPrinter(FieldFormat[] fields) : EventPrinter
{
    private static ReadOnlySpan<byte> States => "SDTtZXxW"u8;

    public static SchedSwitchPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "prev_comm", "prev_pid", "prev_prio", "prev_state", "next_comm", "next_pid", "next_prio")
            ? new SchedSwitchPrinter(fields)
            : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        ThreadName.Append(target, context, state, fields[0], fields[1]);
        target.Append(" ["u8);
        target.AppendDecimal((int)context.Unsigned(fields[2]));
        target.Append("] "u8);
        AppendState(target, (int)context.Unsigned(fields[3]));
        target.Append(" ==> "u8);
        ThreadName.Append(target, context, state, fields[4], fields[5]);
        target.Append(" ["u8);
        target.AppendDecimal((int)context.Unsigned(fields[6]));
        target.Append(']');
    }

    private static void AppendState(TextLine target, int value)
    {
        bool isFirst = true;
        for (int bit = 0; bit < States.Length; bit++)
        {
            if ((value & (1 << bit)) != 0)
            {
                target.Append(isFirst ? ""u8 : "|"u8);
                target.Append(States[bit]);
                isFirst = false;
            }
        }
        if (isFirst)
        {
            target.Append('R');
        }
    }
}

/// <summary><c>bash:123 [120] success=1 CPU:001</c>.</summary>
internal sealed class SchedWakeupPrinter(FieldFormat[] fields, FieldFormat? success) : EventPrinter
{
    private static readonly Conversion Cpu = new() { Specifier = 'u', Precision = -1, HasZeros = true, Width = 3, Length = 2 };

    public static SchedWakeupPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "comm", "pid", "prio", "target_cpu") ? new SchedWakeupPrinter(fields, format.Find("success")) : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        ThreadName.Append(target, context, state, fields[0], fields[1]);
        target.Append(" ["u8);
        target.AppendDecimal((long)context.Unsigned(fields[2]));
        target.Append(']');
        if (success is not null)
        {
            target.Append(" success="u8);
            target.AppendDecimal((long)context.Unsigned(success));
        }
        target.Append(" CPU:"u8);
        Cpu.AppendNumber(target, context.Unsigned(fields[3]));
    }
}

internal static class ThreadName
{
    /// <summary><c>name:pid</c>; the name is remembered for the column of later events.</summary>
    public static void Append(TextLine target, in PrintContext context, PrintState state, FieldFormat name, FieldFormat pid)
    {
        ReadOnlySpan<byte> text = name.Text(context.Payload);
        ulong number = context.Unsigned(pid);
        target.Append(text);
        target.Append(':');
        target.AppendDecimal((long)number);
        state.Names.Learn((int)number, text);
    }
}
