using VsockPair.Cases;
using VsockPair.Options;
using VsockPair.Sessions;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>
/// Boots that ended without a word: neither did their agent say goodbye nor did their machine tell of a panic, and the guest has booted again. Each becomes a case without
/// memory, once.
/// </summary>
internal sealed class UncleanBoots(CollectorOptions options, CaseFolders cases, BootFinder boots, DumpBrake brake)
{
    /// <summary>A store that is older than its crash service is not made into cases from end to end.</summary>
    private static readonly TimeSpan LookBack = TimeSpan.FromHours(1);

    /// <summary>By then the next boot's agent has shipped what tells of the crash.</summary>
    private static readonly TimeSpan Settled = TimeSpan.FromSeconds(10);

    /// <summary>Opens the cases of boots that were not known to have ended so.</summary>
    public IReadOnlyList<CaseFolder> Open()
    {
        List<CaseFolder> opened = [];
        string folder = StorePaths.Guests(options.StoreDirectory);
        foreach (string guest in Directory.Exists(folder) ? Directory.EnumerateDirectories(folder).Select(f => Path.GetFileName(f)).Where(n => GuestName.IsSafe(n)) : [])
        {
            IReadOnlyList<KnownBoot> all = boots.Of(guest);
            for (int i = 0; i + 1 < all.Count; i++)
            {
                if (EndedUnclean(all[i].Record, all[i + 1].Record) && IsDue(all[i + 1].Record) && !HasCase(guest, all[i].Name, all[i + 1].Record.Started)
                    && brake.LastOfTooMany(guest) is null)
                {
                    opened.Add(Open(guest, all[i], all[i + 1]));
                }
            }
        }
        return opened;
    }

    private bool IsDue(BootRecord next) => cases.Now - next.Started > Settled && cases.Now - next.Started < LookBack;

    private CaseFolder Open(string guest, KnownBoot dead, KnownBoot next)
    {
        CaseFolder file = cases.Create(new CaseEvent
        {
            Id = "",
            Guest = guest,
            Kind = HasKdumpLog(guest, next) ? CaseKinds.Kdump : CaseKinds.Reset,
            // A boot that nobody has seen end has ended by the time of the next one.
            Time = dead.Record.Ended is DateTimeOffset ended && ended < next.Record.Started ? ended : next.Record.Started,
            Source = "store",
            Boot = dead.Name,
            Memory = new CaseMemory(options.Watch.Memory.ToString().ToLowerInvariant(), MemoryTaken.None, null, "nobody told of a panic: the guest had booted again when this was noticed", 0),
        });
        file.IsInHand = false;
        return file;
    }

    /// <summary>Whether the next boot's agent has shipped a log that its guest's own kdump had saved (PROTOCOL.md §8).</summary>
    private bool HasKdumpLog(string guest, KnownBoot next)
    {
        string pstore = StorePaths.Pstore(Path.Combine(StorePaths.Boots(StorePaths.Guest(options.StoreDirectory, guest)), next.Name));
        return Directory.Exists(pstore) && Directory.EnumerateFiles(pstore, "kdump-dmesg-*").Any();
    }

    /// <summary>The same boot id again is a life of its own, of a snapshot that was restored, and no end. Whoever was stopped with the collector may have ended in order.</summary>
    private static bool EndedUnclean(BootRecord boot, BootRecord next) =>
        boot.BootId != next.BootId && boot.EndReason is null or EndReasons.Superseded or EndReasons.Lost or EndReasons.Closed;

    /// <summary>Also one that was opened without knowing which boot it was: the guest's agent had not come yet.</summary>
    private bool HasCase(string guest, string boot, DateTimeOffset next) =>
        cases.Of(guest).Any(c => c.Event.Kind != CaseKinds.Dump && (c.Event.Boot == boot || (c.Event.Boot is null && c.Event.Time <= next && next - c.Event.Time < LookBack)));
}
