using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace VsockPair.Decoding.Printing;

/// <summary>A print format, ready to be used: literal text and conversions with their arguments. Parsed once for each event.</summary>
internal sealed class PrintProgram
{
    private readonly Part[] _parts;

    private PrintProgram(Part[] parts) => _parts = parts;

    /// <returns>False when the format is not understood.</returns>
    public static bool TryParse(EventFormat format, [NotNullWhen(true)] out PrintProgram? program)
    {
        program = null;
        PrintScanner scanner = new(format.PrintFormat);
        if (scanner.Token != PrintToken.Text)
        {
            return false;
        }
        string text = scanner.Value;
        scanner.Next();
        List<PrintNode> arguments = [];
        PrintParser parser = new(scanner, format);
        while (scanner.TrySymbol(","))
        {
            if (!parser.TryExpression(out PrintNode? argument))
            {
                return false;
            }
            arguments.Add(argument);
        }
        return scanner.Token == PrintToken.End && TryCreate(text, arguments, out program);
    }

    /// <param name="text">As it stands between the quotes.</param>
    public static bool TryCreate(string text, IReadOnlyList<PrintNode> arguments, [NotNullWhen(true)] out PrintProgram? program)
    {
        ConversionReader reader = new(text, arguments);
        program = reader.TryRead(out Part[]? parts) ? new PrintProgram(parts) : null;
        return program is not null;
    }

    public void Append(TextLine target, in PrintContext context)
    {
        foreach (Part part in _parts)
        {
            if (target.IsCut)
            {
                return;
            }
            if (part.Argument is null)
            {
                target.AppendLines(part.Literal);
                continue;
            }
            Conversion conversion = part.LengthArgument is null ? part.Conversion : part.WithLength((int)part.LengthArgument.Number(context));
            switch (conversion.Specifier)
            {
                case 's': part.Argument.Text(target, context, conversion); break;
                case 'p': PointerText.Append(target, context, conversion, part.Argument); break;
                default: conversion.AppendNumber(target, part.Argument.Number(context)); break;
            }
        }
    }

    /// <summary>Literal text, or a conversion.</summary>
    /// <param name="LengthArgument">Gives the width or the precision.</param>
    /// <param name="IsPrecision">Which of them.</param>
    internal sealed record Part(byte[] Literal, Conversion Conversion = default, PrintNode? Argument = null, PrintNode? LengthArgument = null, bool IsPrecision = false)
    {
        public static Part Text(string latin1) => new(Encoding.Latin1.GetBytes(latin1));

        public Conversion WithLength(int length) =>
            IsPrecision ? Conversion with { Precision = length < 0 ? -1 : Math.Min(length, MaxPrecision) }
            : length < 0 ? Conversion with { IsLeft = true, Width = (int)Math.Min(-(long)length, Conversion.MaxWidth) }
            : Conversion with { Width = Conversion.Specifier == 'p' ? length : Math.Min(length, Conversion.MaxWidth) };

        /// <summary>Digits are padded up to it; of text it shows no more than there is.</summary>
        private int MaxPrecision => Conversion.Specifier is 's' or 'p' ? int.MaxValue : Conversion.MaxWidth;
    }
}
