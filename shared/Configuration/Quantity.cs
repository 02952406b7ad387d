using System.Globalization;

namespace VsockPair.Configuration;

/// <summary>Sizes, times, shares and switches as people write them in configuration files.</summary>
public static class Quantity
{
    /// <summary>Bytes: a whole number, or one with K, M, G or T (powers of 1024).</summary>
    public static bool TryParseBytes(string text, out long bytes) => TryParse(text, "KMGT", i => 1L << (10 * (i + 1)), plain: 1, out bytes);

    /// <summary>A time span: a whole number of seconds, or one with s, m, h or d.</summary>
    public static bool TryParseTime(string text, out TimeSpan time)
    {
        long[] seconds = [1, 60, 3600, 86400];
        bool parsed = TryParse(text, "smhd", i => seconds[i], plain: 1, out long total) && total <= TimeSpan.MaxValue.Ticks / TimeSpan.TicksPerSecond;
        time = parsed ? TimeSpan.FromTicks(total * TimeSpan.TicksPerSecond) : default;
        return parsed;
    }

    /// <summary>0 % to 100 %, as a fraction of 1.</summary>
    public static bool TryParseShare(string text, out double share)
    {
        share = 0;
        if (!text.EndsWith('%') || !int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int percent) || percent > 100)
        {
            return false;
        }
        share = percent / 100.0;
        return true;
    }

    public static bool TryParseSwitch(string text, out bool on)
    {
        on = text is "yes" or "true" or "on" or "1";
        return on || text is "no" or "false" or "off" or "0";
    }

    private static bool TryParse(string text, string suffixes, Func<int, long> factorOf, long plain, out long value)
    {
        value = 0;
        int suffix = text.Length == 0 ? -1 : suffixes.IndexOf(text[^1], StringComparison.Ordinal);
        ReadOnlySpan<char> digits = suffix < 0 ? text : text.AsSpan(0, text.Length - 1);
        long factor = suffix < 0 ? plain : factorOf(suffix);
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number) || number > long.MaxValue / factor)
        {
            return false;
        }
        value = number * factor;
        return true;
    }
}
