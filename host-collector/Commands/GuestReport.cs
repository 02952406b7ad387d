using System.Text.Json.Serialization;
using VsockPair.Clocks;
using VsockPair.Status;
using VsockPair.Storage;

namespace VsockPair.Commands;

/// <summary>What <c>guests</c> knows of one guest: from its files, and from the running collector where there is one.</summary>
internal sealed record GuestReport
{
    public required string Name { get; init; }

    public string? IdentifiedBy { get; init; }

    public uint? Cid { get; init; }

    public string? Socket { get; init; }

    public string? ClaimedNodeName { get; init; }

    public DateTimeOffset? FirstSeen { get; init; }

    public DateTimeOffset? LastSeen { get; init; }

    /// <summary>False when what is below from <see cref="ConnectedSince"/> on could not be asked for.</summary>
    public required bool ServeRunning { get; init; }

    public DateTimeOffset? ConnectedSince { get; init; }

    public double? BytesPerSecond { get; init; }

    public double? EventsPerSecond { get; init; }

    public bool? OverBudget { get; init; }

    public IReadOnlyDictionary<string, long>? Violations { get; init; }

    public IReadOnlyList<StreamStatus>? Streams { get; init; }

    /// <summary>Of the newest boot, as the fields after it.</summary>
    public string? Boot { get; init; }

    public string? Kernel { get; init; }

    public string? AgentVersion { get; init; }

    public int? Vcpus { get; init; }

    /// <summary>What comes in, uncompressed: trace over the last day of the newest boot. Until a segment was closed, what the boot stored on average.</summary>
    public double? BytesPerDay { get; init; }

    /// <summary>What stays of that on the disk.</summary>
    public double? StoredBytesPerDay { get; init; }

    /// <summary>From the oldest trace that is stored to the newest.</summary>
    public double? HistorySeconds { get; init; }

    /// <summary>When that was stored.</summary>
    public DateTimeOffset? HistoryUntil { get; init; }

    public required IReadOnlyCollection<LossSum> Losses { get; init; }

    /// <summary>Of all boots, in blocks: what the quotas count.</summary>
    public required long StoredBytes { get; init; }

    public required IReadOnlyList<string> Notes { get; init; }

    /// <summary>Of the newest boot, where one guest was asked for: it takes all of that boot's samples.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ClockReport? Clock { get; init; }

    /// <summary>Where one guest was asked for.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public CrashReadiness? Crash { get; init; }

    public static GuestReport Of(StoredGuest guest, CollectorStatus? status, DateTimeOffset now, TextWriter remarks)
    {
        StoredBoot? boot = guest.NewestBoot;
        GuestStatus? live = status?.Guests.FirstOrDefault(g => g.Name == guest.Name);
        BootStatus? liveBoot = live?.Boots.FirstOrDefault(b => b.Boot == boot?.Name) ?? live?.Boots.LastOrDefault(b => b.ConnectedSince is not null);
        (LossSums losses, long removed) = LossesOf(guest, boot, remarks);
        StoredHistory history = StoredHistory.Of(guest);
        return new GuestReport
        {
            Name = guest.Name,
            IdentifiedBy = live?.IdentifiedBy ?? guest.Record?.IdentifiedBy,
            Cid = live?.Cid ?? guest.Record?.Cid,
            Socket = live?.Socket ?? guest.Record?.Socket,
            ClaimedNodeName = guest.Record?.ClaimedNodeName,
            FirstSeen = guest.Record?.FirstSeen,
            LastSeen = guest.Record?.LastSeen,
            ServeRunning = status is not null,
            ConnectedSince = liveBoot?.ConnectedSince,
            BytesPerSecond = live?.Boots.Sum(b => b.Streams.Sum(s => s.BytesPerSecond)),
            EventsPerSecond = live?.Boots.Sum(b => b.Streams.Sum(s => s.EventsPerSecond)),
            OverBudget = live?.OverBudget,
            Violations = live?.Violations,
            Streams = liveBoot?.Streams,
            Boot = boot?.Name,
            Kernel = boot?.Record?.Kernel,
            AgentVersion = boot?.Record?.AgentVersion,
            Vcpus = boot?.Record?.Cpus,
            BytesPerDay = history.ReceivedPerDay ?? PerDay(guest, boot, liveBoot?.ConnectedSince is not null ? now : null, removed),
            StoredBytesPerDay = history.StoredPerDay,
            HistorySeconds = (history.Newest - history.Oldest)?.TotalSeconds is double seconds ? Math.Max(0, seconds) : null,
            HistoryUntil = history.Newest,
            Losses = losses.All,
            StoredBytes = StoredBytesOf(guest.Folder),
            Notes = guest.Record?.ClaimedNotes ?? [],
        };
    }

    /// <summary>Of one boot: the whole ledger of a week would be read for a line of a list.</summary>
    private static (LossSums Totals, long RemovedBytes) LossesOf(StoredGuest guest, StoredBoot? boot, TextWriter remarks)
    {
        LossSums totals = new(perStream: false);
        long removed = 0;
        if (boot is not null)
        {
            foreach (LossRecord loss in LossLedger.Read(StorePaths.Losses(boot.Folder), remarks))
            {
                totals.Add(loss);
            }
            foreach (LossRecord loss in LossLedger.Read(StorePaths.Losses(guest.Folder), remarks).Where(l => l.Boot == boot.Name))
            {
                totals.Add(loss);
                removed += loss.Bytes ?? 0;
            }
        }
        return (totals, removed);
    }

    private static double? PerDay(StoredGuest guest, StoredBoot? boot, DateTimeOffset? now, long removed)
    {
        DateTimeOffset? end = now ?? boot?.Record?.Ended ?? guest.Record?.LastSeen;
        double seconds = boot?.Record is null || end is null ? 0 : (end.Value - boot.Started).TotalSeconds;
        return seconds < 1 ? null : (StoredBytesOf(boot!.Folder) + removed) / seconds * 86400;
    }

    /// <summary>Blocks, not sizes: a tail leaves a hole in its segment.</summary>
    private static long StoredBytesOf(string folder)
    {
        long bytes = 0;
        EnumerationOptions everything = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true };
        foreach (string path in Directory.EnumerateFiles(folder, "*", everything))
        {
            // A file that retention took meanwhile holds nothing any more.
            bytes += DiskSpace.BlocksOf(path);
        }
        return bytes;
    }
}
