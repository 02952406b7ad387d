using System.Text;
using VsockPair.GuestAgent.Files;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Metadata;

/// <summary>
/// What it takes to decode this boot's streams, by the names of PROTOCOL.md §8. Small files first, so that the smallest part of a session goes by
/// before its events can be decoded. Three files change while the guest runs and are looked at again.
/// </summary>
internal sealed class MetadataFiles
{
    private static readonly string[] CpuRanges = ["possible", "present", "online"];

    private readonly GuestPaths _paths;
    private readonly Tracefs? _top;
    private readonly List<OfferedFile> _fixed = [];
    private readonly Dictionary<string, byte[]> _lastHash = [];
    private readonly bool _hasSymbols;

    public MetadataFiles(GuestPaths paths, Tracefs? top, TraceInstance? instance, GuestNotes notes)
    {
        _paths = paths;
        _top = top;
        if (instance is not null)
        {
            AddFixed("events/header_page", instance.Files.Path("events/header_page"));
            AddFixed("events/header_event", instance.Files.Path("events/header_event"));
            AddFormats(instance);
        }
        AddFixed("printk_formats", top?.Path("printk_formats"));
        AddFixed("vmcoreinfo", $"{paths.SysFs}/kernel/vmcoreinfo");
        AddFixed("notes", $"{paths.SysFs}/kernel/notes");

        using (KallsymsSource symbols = new(OpenKallsyms, KallsymsPart.Core))
        {
            _hasSymbols = !symbols.IsHidden;
        }
        if (_hasSymbols)
        {
            _fixed.Add(Kallsyms("kallsyms", KallsymsPart.Core, hashKey: "kallsyms"));
            _fixed.Add(Kallsyms("kallsyms-boot", KallsymsPart.Boot, hashKey: "kallsyms-boot"));
        }
        else
        {
            notes.Add("/proc/kallsyms shows no addresses: kernel functions will have no names (see kptr_restrict)");
        }
        if (!AddFixed("btf", $"{paths.SysFs}/kernel/btf/vmlinux"))
        {
            notes.Add("no /sys/kernel/btf/vmlinux: this kernel was built without type information");
        }
    }

    /// <summary>Everything, for the start of a session.</summary>
    public void OfferAll(FileOffers offers)
    {
        _lastHash.Clear();
        OfferChanged(offers);
        string folder = $"{_paths.SysFs}/devices/system/cpu";
        byte[] cpus = Encoding.UTF8.GetBytes(string.Concat(Array.ConvertAll(CpuRanges, r => $"{r} {SmallFile.ReadText($"{folder}/{r}")}\n")));
        offers.Add(OfferedFile.Snapshot("cpuinfo", cpus));
        _fixed.ForEach(offers.Add);
    }

    /// <summary>What is not any more what was offered last in this session.</summary>
    public void OfferChanged(FileOffers offers)
    {
        bool isFirst = _lastHash.Count == 0;
        OfferIfChanged(offers, "saved_cmdlines", _top?.Path("saved_cmdlines"));
        if (OfferIfChanged(offers, "modules", $"{_paths.Proc}/modules") && !isFirst && _hasSymbols)
        {
            offers.Add(Kallsyms("kallsyms-boot", KallsymsPart.Boot, hashKey: null));
        }
    }

    private bool OfferIfChanged(FileOffers offers, string name, string? path)
    {
        if (path is null || !File.Exists(path))
        {
            return false;
        }
        byte[] bytes;
        try
        {
            bytes = SmallFile.ReadBytes(path);
        }
        catch (LinuxException e)
        {
            AgentLog.Warning($"{path} cannot be read, ignoring: {e.Message}");
            return false;
        }
        Sha256 hash = new();
        hash.Append(bytes);
        byte[] current = hash.Finish();
        if (bytes.Length == 0 || (_lastHash.TryGetValue(name, out byte[]? last) && last.AsSpan().SequenceEqual(current)))
        {
            return false;
        }
        _lastHash[name] = current;
        offers.Add(OfferedFile.Snapshot(name, bytes));
        return true;
    }

    private OfferedFile Kallsyms(string name, KallsymsPart part, string? hashKey) =>
        new(Protocol.OfferedKind.Metadata, name, () => new KallsymsSource(OpenKallsyms, part)) { HashKey = hashKey };

    private FileSource OpenKallsyms() => new($"{_paths.Proc}/kallsyms");

    private void AddFormats(TraceInstance instance)
    {
        string[] tracers = Array.ConvertAll(Directory.GetDirectories(instance.Files.Path("events/ftrace")), f => $"ftrace/{Path.GetFileName(f)}");
        List<string> names = [.. instance.Events, .. tracers];
        names.Sort(StringComparer.Ordinal);
        foreach (string name in names)
        {
            AddFixed($"events/{name}/format", instance.Files.Path($"events/{name}/format"));
        }
    }

    private bool AddFixed(string name, string? path)
    {
        bool exists = path is not null && File.Exists(path);
        if (exists)
        {
            _fixed.Add(OfferedFile.Metadata(name, path!));
        }
        return exists;
    }
}
