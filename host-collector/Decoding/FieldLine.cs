using System.Globalization;

namespace VsockPair.Decoding;

/// <summary>A line such as <c>field:__data_loc char[] name;  offset:8;  size:4;  signed:0;</c>.</summary>
internal static class FieldLine
{
    /// <summary>Above every sub-buffer; keeps sums of offsets and sizes far from overflow.</summary>
    private const int MaxOffset = 1 << 20;

    public static FieldFormat? TryParse(ReadOnlySpan<char> line)
    {
        int? offset = null;
        int? size = null;
        bool isSigned = false;
        ReadOnlySpan<char> declaration = default;
        foreach (Range part in line.Split(';'))
        {
            ReadOnlySpan<char> item = line[part].Trim();
            int colon = item.IndexOf(':');
            if (colon < 0)
            {
                continue;
            }
            ReadOnlySpan<char> value = item[(colon + 1)..].Trim();
            switch (item[..colon])
            {
                // "field special:" was how 2.6 wrote it, and ftrace's own formats may again.
                case "field" or "field special": declaration = value; break;
                case "offset": offset = Number(value); break;
                case "size": size = Number(value); break;
                case "signed": isSigned = Number(value) != 0; break;
            }
        }
        return offset is null || size is null || declaration.IsEmpty ? null : Declare(declaration, offset.Value, size.Value, isSigned);
    }

    private static FieldFormat? Declare(ReadOnlySpan<char> declaration, int offset, int size, bool isSigned)
    {
        FieldPlace place = FieldPlace.Fixed;
        if (declaration.StartsWith("__data_loc ", StringComparison.Ordinal))
        {
            place = FieldPlace.DataLocation;
            declaration = declaration["__data_loc ".Length..].Trim();
        }
        else if (declaration.StartsWith("__rel_loc ", StringComparison.Ordinal))
        {
            place = FieldPlace.RelativeLocation;
            declaration = declaration["__rel_loc ".Length..].Trim();
        }

        // The brackets stand behind the name, or behind the type when the length is the event's own: "char comm[16]", "char[] name".
        int open = declaration.IndexOf('[');
        ReadOnlySpan<char> type;
        ReadOnlySpan<char> name;
        int? elements = null;
        if (open >= 0)
        {
            int close = declaration.LastIndexOf(']');
            if (close < open)
            {
                return null;
            }
            elements = Number(declaration[(open + 1)..close]);
            if (close == declaration.Length - 1)
            {
                Divide(declaration[..open].Trim(), out type, out name);
            }
            else
            {
                type = declaration[..open].Trim();
                name = declaration[(close + 1)..].Trim();
            }
        }
        else
        {
            Divide(declaration, out type, out name);
        }
        if (name.IsEmpty || name.Length > EventFormat.MaxNameChars)
        {
            return null;
        }
        bool isArray = open >= 0 || place != FieldPlace.Fixed;
        string cType = type.ToString();
        return new FieldFormat
        {
            Name = name.ToString(),
            Type = cType,
            Offset = offset,
            Size = size,
            IsSigned = isSigned,
            IsArray = isArray,
            Place = place,
            ElementSize = !isArray ? size : place == FieldPlace.Fixed && elements is > 0 && size >= elements ? size / elements.Value : CTypes.SizeOf(cType),
        };
    }

    private static void Divide(ReadOnlySpan<char> declaration, out ReadOnlySpan<char> type, out ReadOnlySpan<char> name)
    {
        int space = declaration.LastIndexOfAny(' ', '*');
        type = declaration[..(space + 1)].Trim();
        name = declaration[(space + 1)..];
    }

    private static int? Number(ReadOnlySpan<char> text) =>
        int.TryParse(text, NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out int value) && value is >= 0 and <= MaxOffset ? value : null;
}
