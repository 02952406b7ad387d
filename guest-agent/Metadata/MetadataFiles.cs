using System.Text;
using VsockPair.GuestAgent.Files;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Metadata;

/// <summary>
/// What it takes to decode this boot's streams, by the names of PROTOCOL.md §8. Small files first, so that the smallest part of a session goes by
/// before its events can be decoded. Some files change while the guest runs and are looked at again.
/// </summary>
internal sealed class MetadataFiles
{
    public const string HeaderPage = "events/header_page";

    private static readonly string[] CpuRanges = ["possible", "present", "online"];

    private readonly GuestPaths _paths;
    private readonly string? _commandLinesPath;
    private readonly string? _printkFormatsPath;
    private readonly TimeSpan _refresh;
    private readonly List<OfferedFile> _small = [];
    private readonly List<OfferedFile> _large = [];
    private readonly bool _hasSymbols;
    private readonly TraceInstance? _instance;
    private ChangingFile? _commandLines;
    private ChangingFile? _threadGroups;
    private ChangingFile? _modules;

    /// <param name="refresh">How often <see cref="OfferChanged"/> is called.</param>
    public MetadataFiles(GuestPaths paths, Tracefs? top, TraceInstance? instance, TimeSpan refresh, GuestNotes notes)
    {
        _paths = paths;
        _commandLinesPath = top?.Path("saved_cmdlines");
        _printkFormatsPath = top?.Path("printk_formats");
        _refresh = refresh;
        _instance = instance;
        if (instance is not null)
        {
            AddIfThere(_small, HeaderPage, instance.Files.Path(HeaderPage));
            AddIfThere(_small, "events/header_event", instance.Files.Path("events/header_event"));
            AddFormats(instance);
        }
        AddIfThere(_small, "vmcoreinfo", $"{paths.SysFs}/kernel/vmcoreinfo");
        AddIfThere(_small, "notes", $"{paths.SysFs}/kernel/notes");

        using (KallsymsSource symbols = new(OpenKallsyms, KallsymsPart.Core))
        {
            _hasSymbols = !symbols.IsHidden;
        }
        if (_hasSymbols)
        {
            _large.Add(Kallsyms("kallsyms", KallsymsPart.Core, hashKey: "kallsyms"));
        }
        else
        {
            notes.Add("/proc/kallsyms shows no addresses: kernel functions will have no names (see kptr_restrict)");
        }
        if (!AddIfThere(_large, "btf", $"{paths.SysFs}/kernel/btf/vmlinux"))
        {
            notes.Add("no /sys/kernel/btf/vmlinux: this kernel was built without type information");
        }
    }

    /// <summary>Everything, for the start of a session.</summary>
    /// <param name="events">Those that are recorded besides the configured ones.</param>
    public void OfferAll(FileOffers offers, List<string> events)
    {
        _commandLines = _commandLinesPath is null ? null : new ChangingFile(_commandLinesPath, b => Sha256.Of(b), _refresh);
        _threadGroups = new ChangingFile(() => ThreadGroups.Read(_paths.Proc), b => Sha256.Of(b), _refresh);
        _modules = new ChangingFile($"{_paths.Proc}/modules", b => ModuleLayout.Hash(b), _refresh);
        string folder = $"{_paths.SysFs}/devices/system/cpu";
        byte[] cpus = Encoding.UTF8.GetBytes(string.Concat(Array.ConvertAll(CpuRanges, r => $"{r} {SmallFile.ReadText($"{folder}/{r}")}\n")));
        offers.Add(OfferedFile.Snapshot("cpuinfo", cpus));
        _small.ForEach(offers.Add);
        OfferFormats(offers, events);
        OfferNames(offers);
        if (!OfferModules(offers))
        {
            // A kernel without modules has these two all the same.
            OfferWhatModulesAddTo(offers);
        }
        _large.ForEach(offers.Add);
    }

    /// <summary>What is not any more what was offered last in this session.</summary>
    public void OfferChanged(FileOffers offers)
    {
        OfferNames(offers);
        OfferModules(offers);
    }

    /// <summary>Hashed anew each time: a module may have come back with other events.</summary>
    public void OfferFormats(FileOffers offers, List<string> events)
    {
        foreach (string name in events)
        {
            offers.Add(OfferedFile.Metadata($"events/{name}/format", _instance!.Files.Path($"events/{name}/format")));
        }
    }

    /// <summary>A small file that the collector has already: its answer shows that it has worked on all that was sent before.</summary>
    public void OfferHeaderPage(FileOffers offers) => offers.Add(OfferedFile.Metadata(HeaderPage, _instance!.Files.Path(HeaderPage), HeaderPage));

    private void OfferNames(FileOffers offers)
    {
        OfferIfChanged(offers, "saved_cmdlines", _commandLines);
        OfferIfChanged(offers, "thread_groups", _threadGroups);
    }

    private bool OfferModules(FileOffers offers)
    {
        bool changed = OfferIfChanged(offers, "modules", _modules);
        if (changed)
        {
            OfferWhatModulesAddTo(offers);
        }
        return changed;
    }

    private void OfferWhatModulesAddTo(FileOffers offers)
    {
        string layout = Convert.ToHexString(_modules!.Digest);
        if (_printkFormatsPath is not null && File.Exists(_printkFormatsPath))
        {
            offers.Add(OfferedFile.Metadata("printk_formats", _printkFormatsPath, hashKey: layout));
        }
        if (_hasSymbols)
        {
            offers.Add(Kallsyms("kallsyms-boot", KallsymsPart.Boot, hashKey: layout));
        }
    }

    private static bool OfferIfChanged(FileOffers offers, string name, ChangingFile? file)
    {
        byte[]? bytes = file?.TakeChange(TimeSpan.FromMilliseconds(Environment.TickCount64));
        if (bytes is not null)
        {
            offers.Add(OfferedFile.Snapshot(name, bytes));
        }
        return bytes is not null;
    }

    private OfferedFile Kallsyms(string name, KallsymsPart part, string hashKey) =>
        new(Protocol.OfferedKind.Metadata, name, () => new KallsymsSource(OpenKallsyms, part)) { HashKey = hashKey };

    private FileSource OpenKallsyms() => new($"{_paths.Proc}/kallsyms");

    private void AddFormats(TraceInstance instance)
    {
        string[] tracers = Array.ConvertAll(Directory.GetDirectories(instance.Files.Path("events/ftrace")), f => $"ftrace/{Path.GetFileName(f)}");
        List<string> names = [.. instance.Configured.Events, .. tracers];
        names.Sort(StringComparer.Ordinal);
        foreach (string name in names)
        {
            AddIfThere(_small, $"events/{name}/format", instance.Files.Path($"events/{name}/format"));
        }
    }

    private static bool AddIfThere(List<OfferedFile> files, string name, string path)
    {
        bool exists = File.Exists(path);
        if (exists)
        {
            files.Add(OfferedFile.Metadata(name, path, hashKey: name));
        }
        return exists;
    }
}
