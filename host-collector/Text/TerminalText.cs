using System.Buffers;
using System.Globalization;
using System.Text;

namespace VsockPair.Text;

/// <summary>
/// The one place where bytes that a guest may have chosen become text for a terminal. What comes out holds no control character, nothing invisible
/// and nothing that reorders text: C0, DEL and bytes that are no UTF-8 are shown as <c>\xNN</c>, everything else that is unsafe as <c>\u{…}</c>.
/// Tabs become spaces to the next multiple of eight.
/// </summary>
public static class TerminalText
{
    private const int TabStop = 8;
    private const int ShortChars = 128;

    public static string Escape(string text) => Escape(Encoding.UTF8.GetBytes(text));

    /// <summary>For a line of the log, where a name of the guest's choice may not fill the screen.</summary>
    public static string EscapeShort(string text) => Escape(text.Length <= ShortChars ? text : text[..ShortChars] + "...");

    public static string Escape(ReadOnlySpan<byte> utf8)
    {
        StringBuilder target = new(utf8.Length);
        Append(target, utf8);
        return target.ToString();
    }

    public static void Append(StringBuilder target, ReadOnlySpan<byte> utf8)
    {
        int start = target.Length;
        while (utf8.Length > 0)
        {
            int plain = utf8.IndexOfAnyExceptInRange((byte)' ', (byte)'~');
            if (plain != 0)
            {
                AppendAscii(target, plain < 0 ? utf8 : utf8[..plain]);
                utf8 = plain < 0 ? default : utf8[plain..];
                continue;
            }
            OperationStatus status = Rune.DecodeFromUtf8(utf8, out Rune rune, out int bytes);
            if (status != OperationStatus.Done)
            {
                foreach (byte invalid in utf8[..bytes])
                {
                    target.Append(CultureInfo.InvariantCulture, $"\\x{invalid:x2}");
                }
            }
            else if (rune.Value == '\t')
            {
                target.Append(' ', TabStop - (target.Length - start) % TabStop);
            }
            else if (rune.Value is < ' ' or 0x7F)
            {
                target.Append(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}");
            }
            else if (IsUnsafe(rune))
            {
                target.Append(CultureInfo.InvariantCulture, $"\\u{{{rune.Value:x}}}");
            }
            else
            {
                target.Append(rune);
            }
            utf8 = utf8[bytes..];
        }
    }

    /// <summary>C1 controls, bidi and other format characters, line separators; and what no font is sure to show.</summary>
    internal static bool IsUnsafe(Rune rune) => Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator;

    private static void AppendAscii(StringBuilder target, ReadOnlySpan<byte> ascii)
    {
        Span<char> chars = stackalloc char[256];
        while (ascii.Length > 0)
        {
            int count = Math.Min(ascii.Length, chars.Length);
            Encoding.ASCII.GetChars(ascii[..count], chars);
            target.Append(chars[..count]);
            ascii = ascii[count..];
        }
    }
}
