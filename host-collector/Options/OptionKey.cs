using System.Globalization;
using VsockPair.Configuration;

namespace VsockPair.Options;

/// <summary>Takes a value into the options; null, with what would be right, when it cannot be.</summary>
internal delegate CollectorOptions? ApplyValue(CollectorOptions options, string value, out string expected);

/// <summary>One key of a section with fixed keys: how its value is read, within which range, and where it goes.</summary>
internal sealed record OptionKey(string Section, string Name, ApplyValue Apply)
{
    public static IReadOnlyList<OptionKey> All { get; } =
    [
        Bytes("Store", "SegmentBytes", "64K", "1T", (o, v) => o with { Store = o.Store with { SegmentBytes = v } }),
        Time("Store", "SegmentAge", "1s", "7d", (o, v) => o with { Store = o.Store with { SegmentAge = v } }),
        Bytes("Store", "TraceQuota", "128K", "1024T", (o, v) => o with { Store = o.Store with { TraceQuota = v } }),
        Bytes("Store", "KmsgQuota", "64K", "1024T", (o, v) => o with { Store = o.Store with { KmsgQuota = v } }),
        Share("Store", "TotalShare", 1, (o, v) => o with { Store = o.Store with { TotalShare = v } }),
        Share("Store", "KeepFree", 0, (o, v) => o with { Store = o.Store with { KeepFree = v } }),
        Time("Store", "MaxAge", "1s", "3650d", (o, v) => o with { Store = o.Store with { MaxAge = v } }),
        Time("Store", "ForgetAfter", "1s", "3650d", (o, v) => o with { Store = o.Store with { ForgetAfter = v } }),
        Bytes("Limits", "GuestRate", "4K", "1T", (o, v) => o with { Limits = o.Limits with { GuestRate = v } }),
        Bytes("Limits", "HostRate", "4K", "1T", (o, v) => o with { Limits = o.Limits with { HostRate = v } }),
        Count("Limits", "MaxCpus", 1, 8192, (o, v) => o with { Limits = o.Limits with { MaxCpus = v } }),
        new("Listen", "Specs", ApplySpecs),
        Switch("Listen", "AllowLoopback", (o, v) => o with { Listen = o.Listen with { AllowLoopback = v } }),
        Bytes("Watch", "CaseQuota", "1M", "1024T", (o, v) => o with { Watch = o.Watch with { CaseQuota = v } }),
        Time("Watch", "CaseAge", "1s", "3650d", (o, v) => o with { Watch = o.Watch with { CaseAge = v } }),
        new("Watch", "Vmlinux", ApplyVmlinux),
        Switch("Watch", "Debuginfod", (o, v) => o with { Watch = o.Watch with { Debuginfod = v } }),
    ];

    private static OptionKey Bytes(string section, string name, string least, string most, Func<CollectorOptions, long, CollectorOptions> set) =>
        new(section, name, (CollectorOptions options, string value, out string expected) =>
        {
            expected = $"is no size; write {least} to {most} (bytes, or with K, M, G or T)";
            return Quantity.TryParseBytes(value, out long bytes) && bytes >= Known(least) && bytes <= Known(most) ? set(options, bytes) : null;
        });

    private static OptionKey Time(string section, string name, string least, string most, Func<CollectorOptions, TimeSpan, CollectorOptions> set) =>
        new(section, name, (CollectorOptions options, string value, out string expected) =>
        {
            expected = $"is no time; write {least} to {most} (seconds, or with s, m, h or d)";
            return Quantity.TryParseTime(value, out TimeSpan time) && time >= KnownTime(least) && time <= KnownTime(most) ? set(options, time) : null;
        });

    private static OptionKey Share(string section, string name, int leastPercent, Func<CollectorOptions, double, CollectorOptions> set) =>
        new(section, name, (CollectorOptions options, string value, out string expected) =>
        {
            expected = $"is no share; write {leastPercent}% to 100%";
            return Quantity.TryParseShare(value, out double share) && share >= leastPercent / 100.0 ? set(options, share) : null;
        });

    private static OptionKey Count(string section, string name, int least, int most, Func<CollectorOptions, int, CollectorOptions> set) =>
        new(section, name, (CollectorOptions options, string value, out string expected) =>
        {
            expected = $"is no such number; write {least} to {most}";
            return int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count >= least && count <= most
                ? set(options, count) : null;
        });

    private static OptionKey Switch(string section, string name, Func<CollectorOptions, bool, CollectorOptions> set) =>
        new(section, name, (CollectorOptions options, string value, out string expected) =>
        {
            expected = "is neither yes nor no";
            return Quantity.TryParseSwitch(value, out bool on) ? set(options, on) : null;
        });

    private static CollectorOptions? ApplySpecs(CollectorOptions options, string value, out string expected)
    {
        expected = $"is empty; write one or more of {ListenSpec.Forms}, with spaces between them";
        List<ListenSpec> specs = [];
        foreach (string text in value.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            ListenSpec? spec = ListenSpec.TryParse(text, out string fault);
            if (spec is null)
            {
                expected = $"cannot be: {fault}";
                return null;
            }
            specs.Add(spec);
        }
        return specs.Count > 0 ? options with { Listen = options.Listen with { Specs = specs } } : null;
    }

    private static CollectorOptions? ApplyVmlinux(CollectorOptions options, string value, out string expected)
    {
        expected = "is no folder; write its whole path from /";
        return value.StartsWith('/') ? options with { Watch = options.Watch with { Vmlinux = value } } : null;
    }

    private static long Known(string bytes) =>
        Quantity.TryParseBytes(bytes, out long value) ? value : throw new ArgumentException($"\"{bytes}\" is no size.");

    private static TimeSpan KnownTime(string time) =>
        Quantity.TryParseTime(time, out TimeSpan value) ? value : throw new ArgumentException($"\"{time}\" is no time.");
}
