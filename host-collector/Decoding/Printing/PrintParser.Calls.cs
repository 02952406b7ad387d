using System.Diagnostics.CodeAnalysis;

namespace VsockPair.Decoding.Printing;

/// <summary>The kernel's helpers for print formats, <c>include/trace/stages/stage3_trace_output.h</c>, and <c>sizeof</c>.</summary>
internal sealed partial class PrintParser
{
    /// <summary>The opening bracket is behind us; takes everything up to the closing one.</summary>
    private bool TryCall(string name, [NotNullWhen(true)] out PrintNode? node)
    {
        node = name switch
        {
            "__print_flags" or "__print_flags_u64" => Flags(),
            "__print_symbolic" or "__print_symbolic_u64" => TryExpression(out PrintNode? value) && TryTable(out NamedValue[] names) ? new SymbolicNode(value, names) : null,
            "__print_hex" or "__print_hex_str" => Hex(hasSpaces: name == "__print_hex"),
            "__print_array" => Numbers(),
            "__print_ns_to_secs" or "__print_ns_without_secs" => TryExpression(out PrintNode? time) ? new SecondsNode(time, isRest: name == "__print_ns_without_secs") : null,
            "__get_str" or "__get_rel_str" => TryField(out FieldFormat? text) ? new DynamicTextNode(text) : null,
            "__get_bitmask" or "__get_rel_bitmask" => TryField(out FieldFormat? mask) ? new BitmaskNode(mask) : null,
            "__get_cpumask" or "__get_rel_cpumask" => TryField(out FieldFormat? cpus) ? new CpuMaskNode(cpus) : null,
            "__get_dynamic_array" or "__get_rel_dynamic_array" or "__get_sockaddr" or "__get_rel_sockaddr" or "__get_sockaddr_rel" =>
                TryField(out FieldFormat? array) ? new DynamicArrayNode(array) : null,
            "__get_dynamic_array_len" or "__get_rel_dynamic_array_len" => TryField(out FieldFormat? array) ? new DynamicLengthNode(array) : null,
            "__builtin_expect" => TryExpression(out PrintNode? expected) && scanner.TrySymbol(",") && TryExpression(out _) ? expected : null,
            "sizeof" => SizeOf(),
            _ => Function(name),
        };
        return node is not null && scanner.TrySymbol(")") && node.Depth <= MaxDepth;
    }

    private bool TryField([NotNullWhen(true)] out FieldFormat? field)
    {
        field = scanner.TryWord(out string name) ? format.Find(name) : null;
        return field is not null;
    }

    private FlagsNode? Flags()
    {
        if (!TryExpression(out PrintNode? value) || !scanner.TrySymbol(",") || scanner.Token != PrintToken.Text)
        {
            return null;
        }
        string delimiter = scanner.Value;
        scanner.Next();
        return TryTable(out NamedValue[] flags) ? new FlagsNode(value, delimiter, flags) : null;
    }

    private HexNode? Hex(bool hasSpaces) =>
        TryExpression(out PrintNode? bytes) && scanner.TrySymbol(",") && TryExpression(out PrintNode? length) ? new HexNode(bytes, length, hasSpaces) : null;

    private NumbersNode? Numbers() =>
        TryExpression(out PrintNode? bytes) && scanner.TrySymbol(",") && TryExpression(out PrintNode? count)
            && scanner.TrySymbol(",") && TryExpression(out PrintNode? size)
            ? new NumbersNode(bytes, count, size)
            : null;

    /// <summary><c>, { 1, "one" }, { 2, "two" }</c>.</summary>
    private bool TryTable(out NamedValue[] table)
    {
        List<NamedValue> entries = [];
        table = [];
        while (scanner.TrySymbol(","))
        {
            if (!scanner.TrySymbol("{") || !TryExpression(out PrintNode? value) || !scanner.TrySymbol(",") || !TryTableName(out string name) || !scanner.TrySymbol("}"))
            {
                return false;
            }
            entries.Add(new NamedValue(Constant(value), name));
        }
        table = [.. entries];
        return true;
    }

    /// <summary>A string; or what stands for none: <c>NULL</c>, <c>((void *)0)</c>.</summary>
    private bool TryTableName(out string name)
    {
        name = TryExpression(out PrintNode? node) ? node.Uncast switch { StringNode text => text.SourceText, AtomNode atom => atom.SourceText, _ => "" } : "";
        return node is not null;
    }

    private static long Constant(PrintNode node)
    {
        if (node.Uncast is AtomNode atom)
        {
            return NamedValue.Evaluate(atom.SourceText, atom.Value);
        }
        long value = (long)node.Number(default);
        return value < 0 ? -1 : value;
    }

    private AtomNode? SizeOf()
    {
        int size;
        if (scanner.IsWord("REC"))
        {
            scanner.Next();
            size = TryFieldOfRecord(out PrintNode? node) && node is FieldNode { Field: var field } ? field.Size : 0;
        }
        else
        {
            size = CTypes.SizeOf(TypeName());
        }
        return size == 0 ? null : new AtomNode(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{size}"), (ulong)size);
    }

    private FunctionNode? Function(string name) =>
        FunctionNode.Find(name) is { } function && TryExpression(out PrintNode? argument) ? new FunctionNode(function, argument) : null;
}
