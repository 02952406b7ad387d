namespace VsockPair.Decoding.Printing;

/// <summary>What <c>%p</c> and the letters behind it print (Documentation/core-api/printk-formats.rst), as far as libtraceevent follows the kernel.</summary>
internal static class PointerText
{
    private const int MacBytes = 6;
    private const int UuidBytes = 16;

    /// <summary>Order of the bytes of a GUID, whose first three numbers are little endian.</summary>
    private static readonly int[] GuidOrder = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

    /// <summary>Takes the letters that belong to the conversion. Those that libtraceevent does not know (<c>%px</c>) stay, and are printed as text.</summary>
    public static string TakeExtension(string text, ref int at)
    {
        ReadOnlySpan<char> rest = text.AsSpan(at);
        int length = rest switch
        {
            ['F' or 'f' or 'S' or 's', ..] => 1,
            ['M' or 'm', 'R' or 'F', ..] => 2,
            ['M' or 'm', ..] => 1,
            ['I' or 'i', 'S', ..] => 2 + SocketLetters(rest[2..]),
            ['I' or 'i', '4', 'h' or 'n' or 'b' or 'l', ..] => 3,
            ['I' or 'i', '4', ..] => 2,
            ['I' or 'i', '6', 'c', ..] => 3,
            ['I' or 'i', '6', ..] => 2,
            ['U', 'L' or 'l' or 'B' or 'b', ..] => 2,
            ['U', ..] => 1,
            ['h', 'C' or 'D' or 'N', ..] => 2,
            ['h', ..] => 1,
            _ => 0,
        };
        at += length;
        return rest[..length].ToString();
    }

    private static int SocketLetters(ReadOnlySpan<char> rest)
    {
        int length = 0;
        while (length < rest.Length && "pfschnbl".Contains(rest[length]))
        {
            length++;
        }
        return length;
    }

    public static void Append(TextLine target, in PrintContext context, in Conversion conversion, PrintNode argument)
    {
        string letters = conversion.Pointer;
        if (argument is StringNode text)
        {
            // Of trace_printk, which has followed the pointer already.
            target.AppendLatin1(text.SourceText);
            return;
        }
        switch (letters)
        {
            case "":
                AppendAddress(target, argument.Number(context));
                return;
            case "S" or "s" or "F" or "f":
                AppendSymbol(target, context.Catalog.Symbols, argument.Number(context), hasOffset: letters is "S" or "F");
                return;
        }
        if (argument.Uncast is FunctionNode)
        {
            argument.Uncast.Text(target, context, Conversion.PlainText);
            return;
        }
        if (!argument.TryBytes(context, out ReadOnlySpan<byte> bytes))
        {
            target.Append("ARG TYPE NOT FIELD"u8);
            return;
        }
        switch (letters[0])
        {
            case 'M' or 'm': AppendMac(target, bytes, letters); break;
            case 'U': AppendUuid(target, bytes, letters); break;
            case 'h': AppendBytes(target, bytes, letters, conversion.Width); break;
            default: AddressText.Append(target, bytes, letters); break;
        }
    }

    public static void AppendSymbol(TextLine target, KernelSymbols symbols, ulong address, bool hasOffset)
    {
        if (!symbols.TryFind(address, out KernelSymbol symbol))
        {
            target.Append("0x"u8);
            target.AppendHex(address);
            return;
        }
        target.Append(symbol.Name);
        if (hasOffset)
        {
            target.Append("+0x"u8);
            target.AppendHex(address - symbol.Address);
        }
    }

    /// <summary>glibc's own <c>%p</c>.</summary>
    private static void AppendAddress(TextLine target, ulong address)
    {
        if (address == 0)
        {
            target.Append("(nil)"u8);
            return;
        }
        target.Append("0x"u8);
        target.AppendHex(address);
    }

    private static void AppendMac(TextLine target, ReadOnlySpan<byte> bytes, string letters)
    {
        if (bytes.Length != MacBytes)
        {
            target.Append("INVALIDMAC"u8);
            return;
        }
        for (int i = 0; i < MacBytes; i++)
        {
            if (i > 0 && letters[0] == 'M')
            {
                target.Append(letters is "MF" ? '-' : ':');
            }
            target.AppendHex(letters is [_, 'R'] ? bytes[MacBytes - 1 - i] : bytes[i], minDigits: 2);
        }
    }

    private static void AppendUuid(TextLine target, ReadOnlySpan<byte> bytes, string letters)
    {
        if (bytes.Length != UuidBytes)
        {
            target.Append("INVALIDUUID"u8);
            return;
        }
        bool isGuid = letters is "UL" or "Ul";
        bool isUpper = letters is "UL" or "UB";
        for (int i = 0; i < UuidBytes; i++)
        {
            byte value = bytes[isGuid ? GuidOrder[i] : i];
            ReadOnlySpan<byte> digits = isUpper ? "0123456789ABCDEF"u8 : "0123456789abcdef"u8;
            target.Append(digits[value >> 4]);
            target.Append(digits[value & 15]);
            if (i is 3 or 5 or 7 or 9)
            {
                target.Append('-');
            }
        }
    }

    private static void AppendBytes(TextLine target, ReadOnlySpan<byte> bytes, string letters, int count)
    {
        for (int i = 0; i < Math.Min(count, bytes.Length) && !target.IsCut; i++)
        {
            if (i > 0)
            {
                target.Append(letters switch { "hC" => ":"u8, "hD" => "-"u8, "hN" => ""u8, _ => " "u8 });
            }
            target.AppendHex(bytes[i], minDigits: 2);
        }
    }
}
