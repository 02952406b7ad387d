namespace VsockPair.Decoding.Printing;

/// <summary>
/// The function graph tracer's entry: <c>name() {</c>, or <c>name();</c> with the time it took when its exit follows at once.
/// </summary>
internal sealed class GraphEntryPrinter(FieldFormat function, FieldFormat depth) : EventPrinter
{
    public static GraphEntryPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "func", "depth") ? new GraphEntryPrinter(fields[0], fields[1]) : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        target.Append("             |  "u8);
        GraphText.AppendIndent(target, context.Unsigned(depth));
        AppendName(target, context);
        target.Append("() {"u8);
    }

    /// <param name="exit">The event that follows on the same thread.</param>
    /// <returns>False when it is not the end of this very call.</returns>
    public bool TryAppendLeaf(TextLine target, in PrintContext context, GraphExitPrinter exitPrinter, in PrintContext exit)
    {
        if (exit.Unsigned(exitPrinter.Function) != context.Unsigned(function))
        {
            return false;
        }
        GraphText.AppendDuration(target, exitPrinter.Duration(exit));
        GraphText.AppendIndent(target, context.Unsigned(depth));
        AppendName(target, context);
        target.Append("();"u8);
        return true;
    }

    private void AppendName(TextLine target, in PrintContext context)
    {
        ulong address = context.Unsigned(function);
        if (context.Catalog.Symbols.TryFind(address, out KernelSymbol symbol))
        {
            target.Append(symbol.Name);
        }
        else
        {
            target.AppendHex(address);
        }
    }
}

internal sealed class GraphExitPrinter(FieldFormat[] fields) : EventPrinter
{
    public FieldFormat Function => fields[0];

    public static GraphExitPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "func", "depth", "calltime", "rettime") ? new GraphExitPrinter(fields) : null;

    public ulong Duration(in PrintContext context) => unchecked(context.Unsigned(fields[3]) - context.Unsigned(fields[2]));

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        GraphText.AppendDuration(target, Duration(context));
        GraphText.AppendIndent(target, context.Unsigned(fields[1]));
        target.Append('}');
    }
}

internal static class GraphText
{
    /// <summary>The kernel traces no deeper (<c>FTRACE_RETFUNC_DEPTH</c> is 50); a hostile number may not fill the line.</summary>
    private const int MaxDepth = 1024;

    private const int Indent = 2;
    private const int DurationColumns = 7;

    public static void AppendIndent(TextLine target, ulong depth) => target.Append((byte)' ', (int)Math.Min(depth, MaxDepth) * Indent);

    /// <summary>A mark for calls that took long, microseconds with three digits behind the point, and a bar.</summary>
    public static void AppendDuration(TextLine target, ulong nanoseconds)
    {
        target.Append(nanoseconds switch
        {
            ulong.MaxValue => "  "u8,
            > 1_000_000_000 => "$ "u8,
            > 1_000_000 => "# "u8,
            > 100_000 => "! "u8,
            > 10_000 => "+ "u8,
            _ => "  "u8,
        });
        int start = target.Length;
        target.AppendDecimal(nanoseconds / 1000);
        if (target.Length - start < DurationColumns)
        {
            target.Append('.');
            new Conversion { Specifier = 'u', Precision = 3, Length = 2 }.AppendNumber(target, nanoseconds % 1000);
        }
        int columns = target.Length - start;
        target.Append(" us "u8);
        target.Append((byte)' ', DurationColumns - columns);
        target.Append("|  "u8);
    }
}
