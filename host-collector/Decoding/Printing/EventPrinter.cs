namespace VsockPair.Decoding.Printing;

/// <summary>How the events of one format become text. Made once for each format.</summary>
internal abstract class EventPrinter
{
    public abstract void Append(TextLine target, in PrintContext context, PrintState state);

    public static EventPrinter For(EventFormat format) => KnownEvents.TryFind(format) ?? ByFormat(format);

    public static EventPrinter ByFormat(EventFormat format) =>
        PrintProgram.TryParse(format, out PrintProgram? program) ? new ProgramPrinter(program) : new FieldsPrinter(format);
}

/// <summary>By the kernel's own print format.</summary>
internal sealed class ProgramPrinter(PrintProgram program) : EventPrinter
{
    public override void Append(TextLine target, in PrintContext context, PrintState state) => program.Append(target, context);
}

/// <summary>Field by field, for formats that are not understood.</summary>
internal sealed class FieldsPrinter(EventFormat format) : EventPrinter
{
    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        target.Append("[FAILED TO PARSE]"u8);
        foreach (FieldFormat field in format.Fields)
        {
            if (target.IsCut)
            {
                return;
            }
            if (!field.IsCommon)
            {
                target.Append(' ');
                target.AppendLatin1(field.Name);
                target.Append('=');
                AppendValue(target, context, field);
            }
        }
    }

    private static void AppendValue(TextLine target, in PrintContext context, FieldFormat field)
    {
        if (field.IsArray)
        {
            AppendArray(target, field, field.Bytes(context.Payload));
        }
        else if (field.IsPointer || (!field.IsSigned && field.IsLong))
        {
            target.Append("0x"u8);
            target.AppendHex(context.Unsigned(field));
        }
        else if (!field.IsSigned)
        {
            target.AppendDecimal(context.Unsigned(field));
        }
        else
        {
            // A short is two columns wide.
            new Conversion { Specifier = 'd', Precision = -1, Length = 2, Width = field.Size == sizeof(short) ? 2 : 0 }
                .AppendNumber(target, (ulong)field.Number(context.Payload));
        }
    }

    private static void AppendArray(TextLine target, FieldFormat field, ReadOnlySpan<byte> bytes)
    {
        if (field.IsText)
        {
            int end = bytes.IndexOf((byte)0);
            ReadOnlySpan<byte> text = end < 0 ? bytes : bytes[..end];
            if (text.IndexOfAnyExceptInRange((byte)' ', (byte)'~') < 0)
            {
                target.Append(text);
                return;
            }
        }
        target.Append("ARRAY["u8);
        for (int i = 0; i < bytes.Length && !target.IsCut; i++)
        {
            target.Append(i > 0 ? ", "u8 : ""u8);
            target.AppendHex(bytes[i], minDigits: 2);
        }
        target.Append(']');
    }
}
