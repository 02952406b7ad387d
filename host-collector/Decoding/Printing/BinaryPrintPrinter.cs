using System.Buffers.Binary;
using System.Text;

namespace VsockPair.Decoding.Printing;

/// <summary>
/// <c>trace_printk</c> in its short form: the address of a format, and its arguments as <c>vbin_printf</c> (<c>lib/vsprintf.c</c>) packs them: numbers of
/// 4 and 8 bytes on multiples of 4, strings with their zero byte.
/// </summary>
internal sealed class BinaryPrintPrinter(FieldFormat ip, FieldFormat formatAddress, FieldFormat buffer) : EventPrinter
{
    private const int MaxArguments = 64;

    public static BinaryPrintPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "ip", "fmt", "buf") ? new BinaryPrintPrinter(fields[0], fields[1], fields[2]) : null;

    /// <summary>Null for the format of any other event.</summary>
    public static BinaryPrintPrinter? TryFind(EventFormat format) => format is { System: "ftrace", Name: "bprint" } ? TryCreate(format) : null;

    /// <summary>Address of the code that wrote it.</summary>
    public ulong Place(in PrintContext context) => context.Unsigned(ip);

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        PointerText.AppendSymbol(target, context.Catalog.Symbols, Place(context), hasOffset: false);
        target.Append(": "u8);
        AppendText(target, context);
    }

    public void AppendText(TextLine target, in PrintContext context)
    {
        ulong address = context.Unsigned(formatAddress);
        if (!context.Catalog.PrintkFormats.TryFind(address, out byte[]? found))
        {
            target.Append("(NO FORMAT FOUND at "u8);
            target.AppendHex(address);
            target.Append(")\n"u8);
            return;
        }
        string text = Encoding.Latin1.GetString(found);
        if (PrintProgram.TryCreate(text, Arguments(text, buffer.Bytes(context.Payload)), out PrintProgram? program))
        {
            program.Append(target, context);
        }
        else
        {
            target.Append(found);
        }
    }

    private static List<PrintNode> Arguments(string text, ReadOnlySpan<byte> bytes)
    {
        List<PrintNode> arguments = [];
        int at = 0;
        for (int i = 0; i + 1 < text.Length && arguments.Count < MaxArguments; i++)
        {
            if (text[i] != '%')
            {
                continue;
            }
            int size = 4;
            for (i++; i < text.Length; i++)
            {
                char c = text[i];
                if (c is 'l' or 'L' or 'z' or 'Z')
                {
                    size = 8;
                    continue;
                }
                if (c is '*')
                {
                    arguments.Add(Number(bytes, ref at, 4));
                    continue;
                }
                if (c is >= '0' and <= '9' or '.' or '#' or '+' or '-' or 'h')
                {
                    continue;
                }
                if (c == 's' || (c == 'p' && IsTextPointer(text, i, bytes, at)))
                {
                    arguments.Add(String(bytes, ref at));
                }
                else if (c is 'd' or 'u' or 'i' or 'x' or 'X' or 'o' or 'c' or 'p')
                {
                    arguments.Add(Number(bytes, ref at, c == 'p' ? 8 : size));
                }
                break;
            }
        }
        return arguments;
    }

    /// <summary>What <c>%pI4</c> and its like print is already text: the kernel could not follow the pointer later.</summary>
    private static bool IsTextPointer(string text, int p, ReadOnlySpan<byte> bytes, int at) =>
        p + 1 < text.Length && char.IsAsciiLetterOrDigit(text[p + 1]) && text[p + 1] is not ('s' or 'S' or 'x' or 'f' or 'F')
        && at < bytes.Length && bytes[at] is >= (byte)' ' and <= (byte)'~';

    private static AtomNode Number(ReadOnlySpan<byte> bytes, ref int at, int size)
    {
        int from = (at + 3) & ~3;
        at = from + size;
        return new AtomNode("", at > bytes.Length ? 0 : size == 8 ? BinaryPrimitives.ReadUInt64LittleEndian(bytes[from..]) : BinaryPrimitives.ReadUInt32LittleEndian(bytes[from..]));
    }

    private static StringNode String(ReadOnlySpan<byte> bytes, ref int at)
    {
        ReadOnlySpan<byte> rest = at < bytes.Length ? bytes[at..] : default;
        int end = rest.IndexOf((byte)0);
        ReadOnlySpan<byte> text = end < 0 ? rest : rest[..end];
        at += text.Length + 1;
        return new StringNode(Encoding.Latin1.GetString(text));
    }
}
