namespace VsockPair.Decoding;

/// <summary>
/// Everything that gives the raw bytes of one boot their meaning: formats by id, symbols, names and processes of threads, constant strings. Read from the boot's
/// metadata (PROTOCOL.md §8); what is missing or cannot be read leaves events without that part and is a line in <see cref="Faults"/>.
/// Unchanging; for any number of threads.
/// </summary>
public sealed class EventCatalog
{
    /// <summary>Of one format, and of all: a kernel with all modules has 3 MiB. The catalog keeps them as text.</summary>
    private const int MaxFormatBytes = 64 << 10;
    private const int MaxFormatBytesInAll = 16 << 20;

    private const string SavedNames = "saved_cmdlines";
    private const string Groups = "thread_groups";

    private readonly Dictionary<int, EventFormat> _formats = [];
    private readonly List<string> _faults = [];
    private readonly List<string> _formatFiles = [];
    private readonly Lazy<KernelSymbols> _symbols;
    private int _formatBytes;

    /// <param name="names">Names of the boot's metadata, as in boot.json.</param>
    /// <param name="read">The bytes of one, or null when they cannot be had.</param>
    public EventCatalog(IEnumerable<string> names, Func<string, byte[]?> read)
    {
        HashSet<string> all = [.. names];
        byte[] Read(string name) => all.Contains(name) ? read(name) ?? [] : [];

        HeaderPage = HeaderPage.TryParse(Read("events/header_page"));
        CommandLines = new CommandLines(Read(SavedNames));
        ThreadGroups = new ThreadGroups(Read(Groups));
        PrintkFormats = new PrintkFormats(Read("printk_formats"));
        // The order of names decides which format has an id that two of them claim.
        foreach (string name in all.Order(StringComparer.Ordinal))
        {
            if (name.Split('/') is ["events", string system, _, "format"])
            {
                AddFormat(system, name, Read);
            }
        }
        // Large, and only wanted by events that print addresses.
        _symbols = new Lazy<KernelSymbols>(() => KernelSymbols.Parse(Read("kallsyms"), Read("kallsyms-boot")));
    }

    public HeaderPage? HeaderPage { get; }

    public IReadOnlyCollection<EventFormat> Formats => _formats.Values;

    /// <summary>The names of their files, sorted: of several that claim one id only the first, none that is not understood, and not more than a reader could hold.</summary>
    public IReadOnlyList<string> FormatFiles => _formatFiles;

    public KernelSymbols Symbols => _symbols.Value;

    public CommandLines CommandLines { get; private set; }

    public ThreadGroups ThreadGroups { get; private set; }

    public PrintkFormats PrintkFormats { get; }

    /// <summary>Metadata that is there and could not be used: names, to be escaped before a person reads them.</summary>
    public IReadOnlyList<string> Faults => _faults;

    /// <summary>Whether it tells of threads: such files change all the time, formats and symbols hardly ever.</summary>
    public static bool IsOfThreads(string name) => name is SavedNames or Groups;

    /// <summary>The same, with what is known of threads by now.</summary>
    public EventCatalog WithThreads(Func<string, byte[]?> read)
    {
        EventCatalog other = (EventCatalog)MemberwiseClone();
        other.CommandLines = new CommandLines(read(SavedNames) ?? []);
        other.ThreadGroups = new ThreadGroups(read(Groups) ?? []);
        return other;
    }

    /// <summary>The format of events with this id (<see cref="Tracing.RingEvent.Id"/>).</summary>
    public EventFormat? Find(int id) => _formats.GetValueOrDefault(id);

    public EventFormat? Find(string system, string name) => _formats.Values.FirstOrDefault(format => format.Name == name && format.System == system);

    private void AddFormat(string system, string name, Func<string, byte[]> read)
    {
        // Many names may stand for one file: what is too much is not read either.
        byte[] text = _formatBytes > MaxFormatBytesInAll ? [] : read(name);
        _formatBytes += Math.Min(text.Length, MaxFormatBytes);
        if (text.Length > MaxFormatBytes || _formatBytes > MaxFormatBytesInAll
            || !EventFormat.TryParse(system, text, out EventFormat? format) || !_formats.TryAdd(format.Id, format))
        {
            _faults.Add(name);
        }
        else
        {
            _formatFiles.Add(name);
        }
    }
}
