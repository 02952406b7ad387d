using System.Collections;
using System.Globalization;
using VsockPair.Configuration;
using VsockPair.Text;

namespace VsockPair.Options;

/// <summary>
/// Reads the configuration: file, drop-ins, environment. All faults are found at once, one line each: where, what is wrong, what would be right.
/// </summary>
public sealed class OptionsReader
{
    private const string GuestPrefix = "Guest ";

    private readonly List<string> _faults = [];
    private readonly Dictionary<(string Section, string Key), IniEntry> _set = [];
    private readonly Dictionary<string, GuestOptions> _guests = new(StringComparer.Ordinal);
    private CollectorOptions _options = new();

    private OptionsReader()
    {
    }

    /// <param name="config">The file named by <c>--config</c>, which must exist; null for the default one, which need not.</param>
    /// <returns>Null when there are faults.</returns>
    public static CollectorOptions? Read(string? config, IDictionary environment, out IReadOnlyList<string> faults)
    {
        OptionsReader reader = new();
        faults = reader._faults;
        if (config is not null && !File.Exists(config))
        {
            reader._faults.Add($"{config}: there is no such file (named by --config)");
        }
        foreach (IniEntry entry in IniFile.Load(config ?? CollectorOptions.DefaultConfig, reader._faults).Concat(IniFile.FromEnvironment(environment)))
        {
            reader.Take(entry);
        }
        reader.CheckGuests();
        reader.CheckTogether();
        return faults.Count > 0 ? null : reader._options with { Guests = [.. reader._guests.Values.OrderBy(g => g.Name, StringComparer.Ordinal)] };
    }

    private void Take(IniEntry entry)
    {
        if (entry.Section.StartsWith(GuestPrefix, StringComparison.Ordinal))
        {
            TakeGuest(entry, entry.Section[GuestPrefix.Length..].Trim());
            return;
        }
        OptionKey? key = OptionKey.All.FirstOrDefault(k => k.Section == entry.Section && k.Name == entry.Key);
        if (key is null)
        {
            _faults.Add($"{entry.Origin}: {DescribeUnknown(entry)}");
            return;
        }
        CollectorOptions? options = key.Apply(_options, entry.Value, out string expected);
        if (options is null)
        {
            _faults.Add($"{entry.Origin}: {entry.Key}={entry.Value} {expected}");
            return;
        }
        _options = options;
        _set[(entry.Section, entry.Key)] = entry;
    }

    private static string DescribeUnknown(IniEntry entry)
    {
        string[] keys = [.. OptionKey.All.Where(k => k.Section == entry.Section).Select(k => k.Name)];
        return entry.Section switch
        {
            _ when keys.Length > 0 => $"[{entry.Section}] has no key \"{entry.Key}\"; it has {string.Join(", ", keys)}",
            "" => $"\"{entry.Key}\" stands in no section; sections are {Sections}",
            _ => $"there is no section [{entry.Section}]; sections are {Sections}",
        };
    }

    private static string Sections => string.Join(", ", OptionKey.All.Select(k => $"[{k.Section}]").Distinct()) + ", [Guest NAME]";

    private void TakeGuest(IniEntry entry, string name)
    {
        if (!GuestName.IsValid(name))
        {
            _faults.Add($"{entry.Origin}: \"{name}\" cannot be a guest's name; names are {GuestName.Rule}");
            return;
        }
        GuestOptions guest = _guests.GetValueOrDefault(name) ?? new GuestOptions(name);
        string? fault = null;
        switch (entry.Key)
        {
            case "Cid" when uint.TryParse(entry.Value, NumberStyles.None, CultureInfo.InvariantCulture, out uint cid) && cid is > 2 and < uint.MaxValue:
                guest = guest with { Cid = cid };
                break;
            case "Cid":
                fault = $"Cid={entry.Value} is no guest's CID; write 3 to 4294967294";
                break;
            case "Socket" when ListenSpec.IsSocketPath(entry.Value):
                guest = guest with { Socket = entry.Value };
                break;
            case "Socket":
                fault = $"Socket={entry.Value} is no socket; write its whole path from /, of at most 103 bytes";
                break;
            case "Uuid" when Guid.TryParse(entry.Value, out Guid uuid) && uuid != Guid.Empty:
                guest = guest with { Uuid = uuid };
                break;
            case "Uuid":
                fault = $"Uuid={entry.Value} is no UUID; write it as virsh domuuid prints it";
                break;
            case "Memory" when OptionKey.TryParseChoice(entry.Value, out MemoryPolicy memory):
                guest = guest with { Memory = memory };
                break;
            case "Memory":
                fault = $"Memory={entry.Value} is none of {OptionKey.Choices<MemoryPolicy>()}";
                break;
            case "Action" when OptionKey.TryParseChoice(entry.Value, out CrashAction action):
                guest = guest with { Action = action };
                break;
            case "Action":
                fault = $"Action={entry.Value} is none of {OptionKey.Choices<CrashAction>()}";
                break;
            default:
                fault = $"[{entry.Section}] has no key \"{entry.Key}\"; it has Cid, Socket, Uuid, Memory, Action";
                break;
        }
        if (fault is not null)
        {
            _faults.Add($"{entry.Origin}: {fault}");
            return;
        }
        _guests[name] = guest;
        _set[(GuestPrefix + name, entry.Key)] = entry;
    }

    /// <summary>Two guests with one CID would have their streams in one folder.</summary>
    private void CheckGuests()
    {
        CheckUnique("Cid", g => g.Cid);
        CheckUnique("Socket", g => g.Socket);
        CheckUnique("Uuid", g => g.Uuid);
    }

    private void CheckUnique(string key, Func<GuestOptions, object?> valueOf)
    {
        foreach (IGrouping<object?, GuestOptions> group in _guests.Values.Where(g => valueOf(g) is not null).GroupBy(valueOf))
        {
            GuestOptions[] guests = [.. group];
            foreach (GuestOptions second in guests[1..])
            {
                IniEntry entry = _set[(GuestPrefix + second.Name, key)];
                IniEntry first = _set[(GuestPrefix + guests[0].Name, key)];
                _faults.Add($"{entry.Origin}: {key}={entry.Value} is already that of guest {guests[0].Name} ({first.Origin}); give each guest its own");
            }
        }
    }

    private void CheckTogether()
    {
        StoreOptions store = _options.Store;
        LimitOptions limits = _options.Limits;
        Require(store.TraceQuota >= 2 * store.SegmentBytes, "Store", "TraceQuota", "SegmentBytes",
            $"TraceQuota ({Units.Bytes(store.TraceQuota)}) must be at least twice SegmentBytes ({Units.Bytes(store.SegmentBytes)})");
        Require(store.MaxAge >= store.SegmentAge, "Store", "MaxAge", "SegmentAge",
            $"MaxAge ({Units.Duration(store.MaxAge)}) must be at least SegmentAge ({Units.Duration(store.SegmentAge)})");
        Require(limits.HostRate >= limits.GuestRate, "Limits", "HostRate", "GuestRate",
            $"HostRate ({Units.Rate(limits.HostRate)}) must be at least GuestRate ({Units.Rate(limits.GuestRate)})");
    }

    /// <summary>A fault names a line of its author's. The defaults obey every rule, so at least one of the two keys has been set.</summary>
    private void Require(bool holds, string section, string key, string otherKey, string fault)
    {
        if (!holds)
        {
            IniEntry set = _set.GetValueOrDefault((section, key)) ?? _set[(section, otherKey)];
            _faults.Add($"{set.Origin}: {fault}");
        }
    }
}
