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
        new("Watch", "Qmp", (CollectorOptions o, string v, out string expected) => ApplyMachines(o, v, QmpSpec.TryParseSocket, QmpSpec.SocketForm, out expected)),
        new("Watch", "QmpDir", (CollectorOptions o, string v, out string expected) => ApplyMachines(o, v, QmpSpec.TryParseTemplate, QmpSpec.TemplateForm, out expected)),
        Text("Watch", "Libvirt", "is no URI; write one as virsh -c takes it, e.g. qemu:///system", v => v.Contains("://", StringComparison.Ordinal), (o, v) => o with { Watch = o.Watch with { Libvirt = v } }),
        Choice<MemoryPolicy>("Watch", "Memory", (o, v) => o with { Watch = o.Watch with { Memory = v } }),
        Time("Watch", "MaxPause", "1s", "1h", (o, v) => o with { Watch = o.Watch with { MaxPause = v } }),
        Choice<CrashAction>("Watch", "Action", (o, v) => o with { Watch = o.Watch with { Action = v } }),
        Count("Watch", "DumpsPerHour", 0, 60, (o, v) => o with { Watch = o.Watch with { DumpsPerHour = v } }),
        Count("Watch", "DumpsPerDay", 0, 1000, (o, v) => o with { Watch = o.Watch with { DumpsPerDay = v } }),
        Bytes("Watch", "CaseQuota", "1M", "1024T", (o, v) => o with { Watch = o.Watch with { CaseQuota = v } }),
        Time("Watch", "CaseAge", "1h", "3650d", (o, v) => o with { Watch = o.Watch with { CaseAge = v } }),
        Time("Watch", "WaitForBoot", "1s", "1d", (o, v) => o with { Watch = o.Watch with { WaitForBoot = v } }),
        Time("Watch", "HangAfter", "0", "1d", (o, v) => o with { Watch = o.Watch with { HangAfter = v } }),
        Text("Watch", "Exec", "is no program; write its whole path from /", v => v.StartsWith('/'), (o, v) => o with { Watch = o.Watch with { Exec = v } }),
        Text("Watch", "Vmlinux", "is no folder; write its whole path from /", v => v.StartsWith('/'), (o, v) => o with { Watch = o.Watch with { Vmlinux = v } }),
        Switch("Watch", "Debuginfod", (o, v) => o with { Watch = o.Watch with { Debuginfod = v } }),
    ];

    /// <summary>What such a value may be, as the end of a message.</summary>
    public static string Choices<T>() where T : struct, Enum =>
        string.Join(", ", Enum.GetNames<T>()[..^1].Select(n => n.ToLowerInvariant())) + $" or {Enum.GetNames<T>()[^1].ToLowerInvariant()}";

    /// <summary>A word of lower-case letters.</summary>
    public static bool TryParseChoice<T>(string value, out T choice) where T : struct, Enum =>
        Enum.TryParse(value, ignoreCase: true, out choice) && !value.AsSpan().ContainsAnyExceptInRange('a', 'z');

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

    /// <summary>Several keys, drop-ins and values of one line add up.</summary>
    private static CollectorOptions? ApplyMachines(CollectorOptions options, string value, QmpSpec.Parser parse, string form, out string expected)
    {
        expected = $"is empty; write one or more of {form}, with spaces between them";
        List<QmpSpec> specs = [];
        foreach (string text in value.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            QmpSpec? spec = parse(text, out string fault);
            if (spec is null)
            {
                expected = $"cannot be: {fault}";
                return null;
            }
            specs.Add(spec);
        }
        return specs.Count > 0 ? options with { Watch = options.Watch with { Qmp = [.. options.Watch.Qmp, .. specs] } } : null;
    }

    private static OptionKey Switch(string section, string name, Func<CollectorOptions, bool, CollectorOptions> set) =>
        new(section, name, (CollectorOptions options, string value, out string expected) =>
        {
            expected = "is neither yes nor no";
            return Quantity.TryParseSwitch(value, out bool on) ? set(options, on) : null;
        });

    private static OptionKey Choice<T>(string section, string name, Func<CollectorOptions, T, CollectorOptions> set) where T : struct, Enum =>
        new(section, name, (CollectorOptions options, string value, out string expected) =>
        {
            expected = $"is none of {Choices<T>()}";
            return TryParseChoice(value, out T choice) ? set(options, choice) : null;
        });

    private static OptionKey Text(string section, string name, string wrong, Func<string, bool> isRight, Func<CollectorOptions, string, CollectorOptions> set) =>
        new(section, name, (CollectorOptions options, string value, out string expected) =>
        {
            expected = wrong;
            return isRight(value) ? set(options, value) : null;
        });

    private static long Known(string bytes) =>
        Quantity.TryParseBytes(bytes, out long value) ? value : throw new ArgumentException($"\"{bytes}\" is no size.");

    private static TimeSpan KnownTime(string time) =>
        Quantity.TryParseTime(time, out TimeSpan value) ? value : throw new ArgumentException($"\"{time}\" is no time.");
}
