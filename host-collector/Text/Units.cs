using System.Globalization;

namespace VsockPair.Text;

/// <summary>Numbers for people. Sizes and rates are powers of 1024, as the K, M and G of the configuration are.</summary>
public static class Units
{
    private static readonly string[] Suffixes = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary><c>812 B</c>, <c>1.5 MiB</c>, <c>64 MiB</c>: three digits that matter.</summary>
    public static string Bytes(double bytes)
    {
        int power = 0;
        // 1023.5 KiB would be shown as 1024 KiB.
        while (Math.Abs(bytes) >= 1023.5 && power < Suffixes.Length - 1)
        {
            bytes /= 1024;
            power++;
        }
        string format = power == 0 || Math.Abs(bytes) >= 99.95 || bytes == Math.Floor(bytes) ? "F0" : "F1";
        return $"{bytes.ToString(format, CultureInfo.InvariantCulture)} {Suffixes[power]}";
    }

    public static string Rate(double bytesPerSecond) => Bytes(bytesPerSecond) + "/s";

    public static string PerDay(double bytesPerSecond) => Bytes(bytesPerSecond * 86400) + "/day";

    /// <summary>The two largest units that are not zero: <c>7d</c>, <c>2h 5m</c>, <c>12s</c>.</summary>
    public static string Duration(TimeSpan time)
    {
        (long Count, string Unit)[] parts = [((long)time.TotalDays, "d"), (time.Hours, "h"), (time.Minutes, "m"), (time.Seconds, "s")];
        int first = Array.FindIndex(parts, p => p.Count > 0);
        return first < 0
            ? "0s"
            : string.Join(' ', parts.Skip(first).Take(2).Where(p => p.Count > 0).Select(p => $"{p.Count}{p.Unit}"));
    }

    /// <summary>
    /// Nanoseconds with the digits that matter, never less than they are: <c>850 ns</c>, <c>213 µs</c>, <c>4.3 ms</c>, <c>60 s</c>; from an hour on as <see cref="Duration"/>.
    /// </summary>
    public static string Seconds(decimal nanoseconds)
    {
        if (nanoseconds >= 3600m * 1_000_000_000)
        {
            return Duration(new TimeSpan((long)Math.Min(nanoseconds / TimeSpan.NanosecondsPerTick, TimeSpan.MaxValue.Ticks)));
        }
        string[] units = ["ns", "µs", "ms", "s"];
        int power = 0;
        while (nanoseconds > 999 && power < units.Length - 1)
        {
            nanoseconds /= 1000;
            power++;
        }
        decimal shown = nanoseconds > 99 ? Math.Ceiling(nanoseconds) : Math.Ceiling(nanoseconds * 10) / 10;
        return $"{shown.ToString("0.#", CultureInfo.InvariantCulture)} {units[power]}";
    }

    /// <summary>A count with a comma every three digits.</summary>
    public static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}
