using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using VsockPair.Text;

namespace VsockPair.Export;

/// <summary>JSON that may be shown on a terminal: beside what JSON wants escaped, what <see cref="TerminalText"/> would not let through.</summary>
internal sealed unsafe class JsonTextEncoder : JavaScriptEncoder
{
    private const int MaxEscapeChars = 12;

    public override int MaxOutputCharactersPerInputCharacter => MaxEscapeChars;

    public override bool WillEncode(int unicodeScalar) => UnsafeRelaxedJsonEscaping.WillEncode(unicodeScalar) || TerminalText.IsUnsafe(new Rune(unicodeScalar));

    /// <remarks>Within the characters that the caller gives.</remarks>
    public override int FindFirstCharacterToEncode(char* text, int textLength)
    {
        int first = UnsafeRelaxedJsonEscaping.FindFirstCharacterToEncode(text, textLength);
        ReadOnlySpan<char> rest = new(text, first < 0 ? textLength : first);
        int at = rest.IndexOfAnyExceptInRange((char)0, (char)0x7F);
        while (at >= 0 && at < rest.Length)
        {
            Rune.DecodeFromUtf16(rest[at..], out Rune rune, out int length);
            if (TerminalText.IsUnsafe(rune))
            {
                return at;
            }
            at += length;
        }
        return first;
    }

    /// <remarks>Within the characters that the caller gives.</remarks>
    public override bool TryEncodeUnicodeScalar(int unicodeScalar, char* buffer, int bufferLength, out int numberOfCharactersWritten)
    {
        if (UnsafeRelaxedJsonEscaping.WillEncode(unicodeScalar))
        {
            return UnsafeRelaxedJsonEscaping.TryEncodeUnicodeScalar(unicodeScalar, buffer, bufferLength, out numberOfCharactersWritten);
        }
        Span<char> units = stackalloc char[2];
        units = units[..new Rune(unicodeScalar).EncodeToUtf16(units)];
        Span<char> target = new(buffer, bufferLength);
        numberOfCharactersWritten = 0;
        foreach (char unit in units)
        {
            if (!target[numberOfCharactersWritten..].TryWrite(CultureInfo.InvariantCulture, $"\\u{(int)unit:X4}", out int written))
            {
                return false;
            }
            numberOfCharactersWritten += written;
        }
        return true;
    }
}
