namespace VsockPair.Decoding.Printing;

/// <summary>
/// An argument of a print format, or a part of one. Evaluated as libtraceevent does it, because the text is to be trace-cmd's: numbers are unsigned
/// and 64 bits wide, whatever their C type. Never throws, whatever the format and the event say; ends, because trees are no deeper than the parser allows.
/// </summary>
internal abstract class PrintNode
{
    /// <summary>Levels below and with this node: what evaluating it takes of the stack.</summary>
    public virtual int Depth => 1;

    public virtual ulong Number(in PrintContext context) => 0;

    /// <summary>What <c>%s</c> prints.</summary>
    public virtual void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
    }

    /// <summary>The bytes that <c>%pM</c>, <c>%pI4</c> and their like print, where this names some.</summary>
    public virtual bool TryBytes(in PrintContext context, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        return false;
    }

    /// <summary>What is left without casts.</summary>
    public virtual PrintNode Uncast => this;

    /// <summary>How loosely the operator at the top of this tree binds; 0 for what has none.</summary>
    public virtual int Looseness => 0;

    /// <summary>The same operator with another left side.</summary>
    public virtual PrintNode WithLeft(Func<PrintNode, PrintNode> replace) => this;
}

/// <summary>A number, or a name of the kernel: then it is the address of that symbol, or 0.</summary>
internal sealed class AtomNode(string text, ulong value) : PrintNode
{
    private readonly bool _isName = value == 0 && !char.IsAsciiDigit(text.FirstOrDefault('0'));

    public ulong Value { get; } = value;

    public string SourceText { get; } = text;

    public override ulong Number(in PrintContext context) => _isName && context.Catalog is not null ? context.Catalog.Symbols.AddressOf(SourceText) : Value;

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion) => conversion.AppendLatin1(target, SourceText);
}

internal sealed class StringNode(string text) : PrintNode
{
    public string SourceText { get; } = text;

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion) => conversion.AppendLatin1(target, SourceText);
}

/// <summary><c>REC->name</c>.</summary>
internal sealed class FieldNode(FieldFormat field) : PrintNode
{
    private const int PointerBytes = 8;

    public FieldFormat Field { get; } = field;

    public override ulong Number(in PrintContext context) => context.Unsigned(Field);

    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        if (!Field.IsArray && Field.Size == PointerBytes)
        {
            // A pointer: to a constant string of the kernel, if it says which ones it has.
            ulong address = Number(context);
            if (context.Catalog.PrintkFormats.TryFind(address, out byte[]? text))
            {
                target.Append(text);
            }
            else
            {
                target.AppendHex(address);
            }
            return;
        }
        ReadOnlySpan<byte> bytes = FixedBytes(context);
        int end = bytes.IndexOf((byte)0);
        conversion.AppendText(target, end < 0 ? bytes : bytes[..end]);
    }

    public override bool TryBytes(in PrintContext context, out ReadOnlySpan<byte> bytes)
    {
        bytes = FixedBytes(context);
        return true;
    }

    /// <summary>Where the field itself lies, also when it only says where its bytes are.</summary>
    private ReadOnlySpan<byte> FixedBytes(in PrintContext context)
    {
        ReadOnlySpan<byte> rest = Field.Offset <= context.Payload.Length ? context.Payload[Field.Offset..] : default;
        return Field.Size == 0 || Field.Size > rest.Length ? rest : rest[..Field.Size];
    }
}

/// <summary><c>__get_str(name)</c>.</summary>
internal sealed class DynamicTextNode(FieldFormat field) : PrintNode
{
    public override void Text(TextLine target, in PrintContext context, in Conversion conversion)
    {
        ReadOnlySpan<byte> text = field.Text(context.Payload);
        if (!text.IsEmpty || !field.Bytes(context.Payload).IsEmpty)
        {
            conversion.AppendText(target, text);
        }
    }
}

/// <summary><c>__get_dynamic_array(name)</c>: an address of the kernel's own memory, of which only the bytes are here.</summary>
internal sealed class DynamicArrayNode(FieldFormat field) : PrintNode
{
    public FieldFormat Field { get; } = field;

    public override bool TryBytes(in PrintContext context, out ReadOnlySpan<byte> bytes)
    {
        bytes = Field.Bytes(context.Payload);
        return true;
    }
}

/// <summary><c>__get_dynamic_array_len(name)</c>.</summary>
internal sealed class DynamicLengthNode(FieldFormat field) : PrintNode
{
    public override ulong Number(in PrintContext context) => (ulong)field.Bytes(context.Payload).Length;
}
