using VsockPair.Clocks;
using VsockPair.Decoding;
using VsockPair.Export;
using VsockPair.History;
using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>What decodes a boot that is still being recorded: its metadata may grow, as when other events are switched on, and its clock is measured again and again.</summary>
internal sealed class TailCatalog
{
    /// <summary>A clock line goes on behind its newest sample; one of a week takes a while to read.</summary>
    private static readonly TimeSpan ClockInterval = TimeSpan.FromSeconds(60);

    private readonly CommandContext _context;
    private readonly bool _needsClock;
    private StoredBoot _boot;
    private (DateTime, long) _stamp;
    private long _clockRead;

    public TailCatalog(CommandContext context, StoredBoot boot, bool needsClock)
    {
        _context = context;
        _boot = boot;
        _needsClock = needsClock;
        BootMetadata metadata = new(context.Store, boot);
        Events = new EventCatalog(metadata.Names, metadata.Read);
        if (metadata.Has("events/header_page") && MetadataFaults.OfLayout(Events.HeaderPage) is string fault)
        {
            context.Error.WriteLine(fault);
        }
        TryReadClock();
    }

    public EventCatalog Events { get; private set; }

    /// <summary>Null where nothing places the boot in host time, or nobody asked for it.</summary>
    public ClockModel? Clock { get; private set; }

    /// <returns>Whether anything is new.</returns>
    public bool TryRefresh()
    {
        bool hasClock = (Clock is null || _context.Time.GetElapsedTime(_clockRead) >= ClockInterval) && TryReadClock();
        // Replaced as a whole, and often for something else than metadata.
        if (StampOf(_boot) == _stamp)
        {
            return hasClock;
        }
        IReadOnlyDictionary<string, string> before = _boot.Record?.Metadata ?? new Dictionary<string, string>();
        _stamp = StampOf(_boot);
        StoredBoot? boot = StoredBoot.TryOpen(_boot.Folder);
        if (boot?.Record is not { } record)
        {
            return hasClock;
        }
        _boot = boot;
        string[] changed = [.. record.Metadata.Except(before).Concat(before.Except(record.Metadata)).Select(m => m.Key)];
        if (changed.Length == 0)
        {
            return hasClock;
        }
        BootMetadata metadata = new(_context.Store, boot);
        Events = changed.All(EventCatalog.IsOfThreads) ? Events.WithThreads(metadata.Read) : new EventCatalog(metadata.Names, metadata.Read);
        return true;
    }

    private bool TryReadClock()
    {
        if (!_needsClock)
        {
            return false;
        }
        _clockRead = _context.Time.GetTimestamp();
        Clock = ClockModel.Load(_boot, TextWriter.Null) ?? Clock;
        return Clock is not null;
    }

    private static (DateTime, long) StampOf(StoredBoot boot)
    {
        FileInfo file = new(StorePaths.BootRecord(boot.Folder));
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : default;
    }
}
