using System.Globalization;
using System.Text;
using VsockPair.Text;

namespace VsockPair.HostCollector.Tests.Text;

public sealed class TerminalTextTests
{
    [Theory]
    [InlineData("plain text, 100 %", "plain text, 100 %")]
    [InlineData("Grüße 日本 ✓ 🦀", "Grüße 日本 ✓ 🦀")]
    [InlineData("\u001b[2Jgone", "\\x1b[2Jgone")]
    [InlineData("a\r\nb\0", "a\\x0d\\x0ab\\x00")]
    [InlineData("del\u007f", "del\\x7f")]
    [InlineData("c1 \u009b31m", "c1 \\u{9b}31m")]
    [InlineData("bidi \u202e\u2066\u200f\u061c", "bidi \\u{202e}\\u{2066}\\u{200f}\\u{61c}")]
    [InlineData("hidden \u200b\ufeff\u00ad", "hidden \\u{200b}\\u{feff}\\u{ad}")]
    [InlineData("lines \u2028\u2029\u0085", "lines \\u{2028}\\u{2029}\\u{85}")]
    [InlineData("tag \U000e0041", "tag \\u{e0041}")]
    [InlineData("\tx", "        x")]
    [InlineData("rcu: \t0-...!", "rcu:    0-...!")]
    public void Unsafe_text_is_shown_not_obeyed(string text, string expected) => Assert.Equal(expected, TerminalText.Escape(text));

    [Theory]
    [InlineData("61ff62", "a\\xffb")]
    [InlineData("c3", "\\xc3")]
    [InlineData("c0af", "\\xc0\\xaf")]
    [InlineData("eda080", "\\xed\\xa0\\x80")]
    [InlineData("f4908080", "\\xf4\\x90\\x80\\x80")]
    [InlineData("9b33316d", "\\x9b31m")]
    public void Bytes_that_are_no_utf8_are_shown_as_bytes(string hex, string expected) =>
        Assert.Equal(expected, TerminalText.Escape(Convert.FromHexString(hex)));

    [Fact]
    public void Long_text_is_whole() => Assert.Equal(new string('x', 5000), TerminalText.Escape(new string('x', 5000)));

    [Fact]
    public void No_bytes_whatever_reach_a_terminal_as_control_characters()
    {
        Random random = new(829);
        for (int i = 0; i < 5_000; i++)
        {
            byte[] bytes = Compose(random);
            string text = TerminalText.Escape(bytes);
            foreach (Rune rune in text.EnumerateRunes())
            {
                UnicodeCategory category = Rune.GetUnicodeCategory(rune);
                Assert.False(
                    category is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator,
                    $"U+{rune.Value:X4} came through from {Convert.ToHexString(bytes)}");
            }
            byte[] written = Encoding.UTF8.GetBytes(text);
            Assert.DoesNotContain(written, b => b is < 0x20 or 0x7F);
            // What can be seen has been kept.
            Assert.True(bytes.Length == 0 || text.Length > 0);
        }
    }

    /// <summary>Random bytes, whole code points and pieces of escape sequences, mixed.</summary>
    private static byte[] Compose(Random random)
    {
        byte[][] pieces = ["\u001b["u8.ToArray(), "\u001b]0;x\u0007"u8.ToArray(), [0xC2, 0x9B], "\u202e"u8.ToArray(), [0xE2, 0x80], "ok \\x1b"u8.ToArray()];
        List<byte> bytes = [];
        for (int n = random.Next(12); n > 0; n--)
        {
            switch (random.Next(4))
            {
                case 0:
                    byte[] noise = new byte[random.Next(8)];
                    random.NextBytes(noise);
                    bytes.AddRange(noise);
                    break;
                case 1 when Rune.IsValid(random.Next(0x110000)):
                    int value = random.Next(0xD800);
                    bytes.AddRange(Encoding.UTF8.GetBytes(new Rune(value).ToString()));
                    break;
                case 2:
                    bytes.Add((byte)random.Next(0xA0));
                    break;
                default:
                    bytes.AddRange(pieces[random.Next(pieces.Length)]);
                    break;
            }
        }
        return [.. bytes];
    }
}
