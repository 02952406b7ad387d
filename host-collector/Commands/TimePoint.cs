using System.Globalization;
using VsockPair.Configuration;

namespace VsockPair.Commands;

/// <summary>A moment as <c>--since</c> and <c>--until</c> write it; exactly one of the three is there.</summary>
/// <param name="Host">RFC 3339, the host's clock.</param>
/// <param name="BeforeNewest"><c>-10m</c>: before the newest that is stored.</param>
/// <param name="SinceBoot"><c>boot+12.5</c>: nanoseconds on the guest's own clock.</param>
internal sealed record TimePoint(DateTimeOffset? Host, TimeSpan? BeforeNewest, long? SinceBoot)
{
    public const string Forms = "2026-01-31T12:00:00Z, -10m (before the newest that is stored) or boot+12.5";

    private const string BootPrefix = "boot+";
    private const int FractionDigits = 7;

    /// <summary>Within it all sums of nanoseconds fit into 64 bits.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromDays(36500);

    /// <summary>Has a meaning in more than one boot.</summary>
    public bool IsHostTime => SinceBoot is null;

    public static TimePoint? TryParse(string text)
    {
        if (text.StartsWith('-'))
        {
            return Quantity.TryParseTime(text[1..], out TimeSpan before) && before <= Longest ? new TimePoint(null, before, null) : null;
        }
        if (text.StartsWith(BootPrefix, StringComparison.Ordinal))
        {
            return decimal.TryParse(text.AsSpan(BootPrefix.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal seconds)
                && seconds <= (decimal)Longest.TotalSeconds
                ? new TimePoint(null, null, (long)(seconds * 1_000_000_000))
                : null;
        }
        return TryParseRfc3339(text, out DateTimeOffset time) ? new TimePoint(time, null, null) : null;
    }

    /// <summary>With a zone always: a time without one would mean another moment on another host. Digits beyond .NET's 100 ns are cut.</summary>
    private static bool TryParseRfc3339(string text, out DateTimeOffset time)
    {
        int dot = text.IndexOf('.', StringComparison.Ordinal);
        if (dot > 0)
        {
            int end = dot + 1;
            while (end < text.Length && char.IsAsciiDigit(text[end]))
            {
                end++;
            }
            text = text[..Math.Min(end, dot + 1 + FractionDigits)] + text[end..];
        }
        string[] formats = ["yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFzzz", "yyyy-MM-dd HH:mm:ss.FFFFFFF'Z'", "yyyy-MM-dd HH:mm:ss.FFFFFFFzzz"];
        return DateTimeOffset.TryParseExact(text, formats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time)
            && time >= DateTimeOffset.UnixEpoch && time <= DateTimeOffset.UnixEpoch + 2 * Longest;
    }
}

/// <summary>What <c>--since</c>, <c>--until</c> and <c>--boot</c> choose.</summary>
internal sealed record Selection(TimePoint? Since, TimePoint? Until, string? Boot)
{
    /// <summary>The boots that may hold something: the named one; all of them for a range in host time; else the newest.</summary>
    public IReadOnlyList<StoredBoot> BootsOf(StoredGuest guest, bool allByDefault)
    {
        if (Boot is not null)
        {
            return [guest.FindBoot(Boot)];
        }
        bool hostTime = (Since ?? Until) is not null && Since?.IsHostTime != false && Until?.IsHostTime != false;
        bool all = hostTime || (allByDefault && Since is null && Until is null);
        return all ? guest.Boots : [.. guest.Boots.TakeLast(1)];
    }
}
