using VsockPair.Clocks;
using VsockPair.Commands;

namespace VsockPair.Cases;

/// <summary>What a case is made from: its event, what is stored of the guest, and within which limits.</summary>
internal sealed class CaseSource
{
    public CaseSource(string store, string folder, CaseEvent happened, CaseLimits limits, TimeProvider time, TextWriter remarks)
    {
        Store = store;
        Folder = folder;
        Event = happened;
        Limits = limits;
        Time = time;
        Remarks = remarks;
        if (StoredGuest.Names(store).Contains(happened.Guest))
        {
            Guest = StoredGuest.Open(store, happened.Guest);
            Dead = Guest.Boots.FirstOrDefault(b => b.Name == happened.Boot);
            // Another life of the same boot is a restored snapshot: it knows nothing of this crash.
            Next = Dead is not null
                ? Guest.Boots.FirstOrDefault(b => b.Started > Dead.Started && b.Record?.BootId != Dead.Record?.BootId)
                : happened.Boot is null ? Guest.Boots.FirstOrDefault(b => b.Started > happened.Time) : null;
        }
        Clock = Dead is null ? null : ClockModel.Load(Dead, remarks);
    }

    public string Store { get; }

    public string Folder { get; }

    public CaseEvent Event { get; }

    public CaseLimits Limits { get; }

    public TimeProvider Time { get; }

    public TextWriter Remarks { get; }

    /// <summary>Null when nothing is stored of this guest.</summary>
    public StoredGuest? Guest { get; }

    /// <summary>The boot that died; null when it is not known or not stored.</summary>
    public StoredBoot? Dead { get; }

    /// <summary>The boot that followed; null when none has yet.</summary>
    public StoredBoot? Next { get; }

    /// <summary>Of the boot that died.</summary>
    public ClockModel? Clock { get; }

    public string? BuildId => BuildIdNote.IsBuildId(Dead?.Record?.BuildId) ? Dead!.Record!.BuildId : null;

    /// <summary>Why nothing of the boot's stream can be had.</summary>
    public string NoBootReason => Event.Boot is null
        ? "no boot of this guest was being recorded: it has no agent, or its agent did not reach the collector"
        : $"boot {Event.Boot} of {Event.Guest} is no longer stored";

    /// <summary>Whether all that the guest's agent had to send has come: it said goodbye.</summary>
    public bool StreamIsWhole => Dead?.Record?.EndReason == Sessions.EndReasons.Goodbye;
}

/// <summary>How much of a case is written, and how long that may take; whatever a guest has sent, and however it has filled its memory.</summary>
internal sealed record CaseLimits
{
    /// <summary>The last stretch of the trace.</summary>
    public TimeSpan Trace { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Slots of sub-buffers, holes included. A stretch that has more is made shorter.</summary>
    public long TraceBytes { get; init; } = 1L << 30;

    public long KmsgBytes { get; init; } = 64L << 20;

    /// <summary>One part; at idle priority.</summary>
    public TimeSpan PartTime { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Reading all of a vmcore once.</summary>
    public TimeSpan MemoryTime { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Kept of the disk for the manifest of a case whose parts fill the disk.</summary>
    public int ManifestReserve { get; init; } = 64 << 10;
}
