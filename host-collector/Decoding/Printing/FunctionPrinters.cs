using System.Buffers.Binary;

namespace VsockPair.Decoding.Printing;

/// <summary>The function tracer: the function's name, moved to the right below its caller.</summary>
internal sealed class FunctionPrinter(FieldFormat function, FieldFormat parent) : EventPrinter
{
    private const int Indent = 3;

    public static FunctionPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "ip", "parent_ip") ? new FunctionPrinter(fields[0], fields[1]) : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        KernelSymbols symbols = context.Catalog.Symbols;
        ulong address = context.Unsigned(function);
        bool hasName = symbols.TryFind(address, out KernelSymbol name);
        if (symbols.TryFind(context.Unsigned(parent), out KernelSymbol caller))
        {
            int level = state.Calls.Enter(state.Cpu, caller.Address, hasName ? name.Address : null);
            target.Append((byte)' ', level * Indent);
        }
        PointerText.AppendSymbol(target, symbols, address, hasOffset: false);
    }
}

/// <summary>A function that was called again and again from the same place.</summary>
internal sealed class FunctionRepeatsPrinter(FunctionPrinter function, FieldFormat[] fields) : EventPrinter
{
    public static FunctionRepeatsPrinter? TryCreate(EventFormat format) =>
        FunctionPrinter.TryCreate(format) is { } function && KnownEvents.TryFields(format, out FieldFormat[]? fields, "count", "top_delta_ts", "bottom_delta_ts")
            ? new FunctionRepeatsPrinter(function, fields)
            : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        function.Append(target, context, state);
        target.Append(" (count: "u8);
        target.AppendDecimal((long)context.Unsigned(fields[0]));
        target.Append("  last_ts: "u8);
        ReportTime.Append(target, unchecked(state.TimeStamp - (context.Unsigned(fields[1]) << 32 | context.Unsigned(fields[2]))));
        target.Append(')');
    }
}

/// <summary>A kernel stack: one function below the other, up to the end of the event or an address of all ones.</summary>
internal sealed class StackPrinter(FieldFormat caller) : EventPrinter
{
    public static StackPrinter? TryCreate(EventFormat format) => format.Find("caller") is { } caller ? new StackPrinter(caller) : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        target.Append("<stack trace >"u8);
        for (int at = caller.Offset; at <= context.Payload.Length - sizeof(ulong) && !target.IsCut; at += sizeof(ulong))
        {
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(context.Payload[at..]);
            if ((int)address == -1)
            {
                break;
            }
            target.AppendLines("\n=> "u8);
            if (context.Catalog.Symbols.TryFind(address, out KernelSymbol symbol))
            {
                target.Append(symbol.Name);
                target.Append(" ("u8);
                target.AppendHex(address);
                target.Append(')');
            }
            else
            {
                target.AppendHex(address);
            }
        }
        target.Append('\n');
    }
}

/// <summary>What was written to <c>trace_marker_raw</c>.</summary>
internal sealed class RawDataPrinter(FieldFormat id, FieldFormat bytes) : EventPrinter
{
    public static RawDataPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "id", "buf") ? new RawDataPrinter(fields[0], fields[1]) : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        target.Append("# "u8);
        target.AppendHex(context.Unsigned(id));
        for (int at = bytes.Offset; at < context.Payload.Length && !target.IsCut; at++)
        {
            target.Append(' ');
            target.AppendHex(context.Payload[at], minDigits: 2);
        }
    }
}
