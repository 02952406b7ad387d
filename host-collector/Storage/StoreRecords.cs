using System.Text.Json.Serialization;

namespace VsockPair.Storage;

/// <summary><c>guests/NAME/guest.json</c>: how the host knows this guest, and what the guest says of itself.</summary>
public sealed record GuestRecord
{
    public required string Name { get; init; }

    /// <summary>How the name was found: <c>cid</c>, <c>map</c> (configuration), <c>socket</c> (hybrid vsock), <c>identity</c> (published by watch).</summary>
    public required string IdentifiedBy { get; init; }

    public uint? Cid { get; init; }

    public string? Socket { get; init; }

    public string? ClaimedNodeName { get; init; }

    /// <summary>What the agent says is missing in its guest.</summary>
    public IReadOnlyList<string> ClaimedNotes { get; init; } = [];

    public required DateTimeOffset FirstSeen { get; init; }

    public required DateTimeOffset LastSeen { get; init; }
}

/// <summary><c>boots/ID/boot.json</c>.</summary>
public sealed record BootRecord
{
    public required Guid BootId { get; init; }

    /// <summary><c>uname -r</c>.</summary>
    public required string Kernel { get; init; }

    /// <summary>Lower-case hex; null when the guest does not show it.</summary>
    public string? BuildId { get; init; }

    public required string Clock { get; init; }

    public required int SubBufferBytes { get; init; }

    /// <summary>Possible CPUs, as the guest claims.</summary>
    public required int Cpus { get; init; }

    public required string AgentVersion { get; init; }

    /// <summary>The session last given to this boot.</summary>
    public required Guid Session { get; init; }

    /// <summary>The one before it, until the agent has shown that it knows <see cref="Session"/>: a Welcome may get lost. Both continue this life.</summary>
    public Guid? PreviousSession { get; init; }

    /// <summary>The guest's CLOCK_BOOTTIME in ns when it was last heard of: one that comes with less is another life. Null when it does not tell it.</summary>
    public long? BootClock { get; init; }

    public required DateTimeOffset Started { get; init; }

    public DateTimeOffset? Ended { get; init; }

    /// <summary>One of <c>rings/</c> may say that an agent has left events in the ring.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool EventsLeft { get; init; }

    /// <summary>Why: <c>goodbye</c>, <c>lost</c> (no heartbeat), <c>closed</c>, <c>stopped</c> (the collector stopped), <c>superseded</c> (a newer boot of this guest came).</summary>
    public string? EndReason { get; init; }

    /// <summary>Whether a crash would be caught, as the guest last told; null when its agent does not tell.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<CheckRecord>? Readiness { get; init; }

    /// <summary>Name as in PROTOCOL.md §8 → SHA-256 in hex, the name of the file in <c>metadata/</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();
}

/// <summary>One thing that catching a crash of a guest takes, seen in the guest (PROTOCOL.md, "Readiness") or on the host.</summary>
/// <param name="Ok">False: it is missing; null: it counts neither way.</param>
/// <param name="Fix">The command or setting that mends it; empty when nothing is to be mended.</param>
public sealed record CheckRecord(string Check, bool? Ok, string Text, string Fix);

/// <summary>
/// <c>rings/cpuN.json</c>: the account of one vCPU's ring. A file of its own, for a guest can begin generations as fast as it can connect. The <c>…Before</c> figures are those of earlier generations of this boot, whose counters began at zero again.
/// Together with the segments and the ledgers it makes the account exact after any restart:
/// read before + read = stored + retention + transport loss.
/// </summary>
public sealed record RingRecord
{
    public required Guid Generation { get; init; }

    /// <summary>Fixed for a generation.</summary>
    public required int SubBufferBytes { get; init; }

    public ulong ReadEventsBefore { get; init; }

    public ulong LostEventsBefore { get; init; }

    /// <summary>Ring loss of the boot if nobody comes for what the last agent left in the ring (PROTOCOL.md §6); null where nothing was left.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ulong? LostEventsIfOver { get; init; }
}

/// <summary>One line of a <c>losses.jsonl</c>. Unknown figures are null.</summary>
public sealed record LossRecord
{
    public required DateTimeOffset Time { get; init; }

    /// <summary><c>ring</c>, <c>transport</c>, <c>kmsg</c>, <c>disk</c> or <c>retention</c>.</summary>
    public required string Source { get; init; }

    /// <summary><c>cpu3</c> or <c>kmsg</c>.</summary>
    public required string Stream { get; init; }

    /// <summary>
    /// Guest trace clock (ns) or kmsg sequence of the first and last thing lost. What the transport lost has no time stamps: <c>first</c> is then that of the last
    /// sub-buffer stored before it. A line of several gaps in the kernel log has no first: not all from there to the last was lost.
    /// </summary>
    public ulong? First { get; init; }

    public ulong? Last { get; init; }

    /// <summary>kmsg records, or sub-buffers.</summary>
    public long? Records { get; init; }

    public long? Events { get; init; }

    public long? Bytes { get; init; }

    /// <summary>In a guest's ledger: the boot folder that it was removed from.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Boot { get; init; }

    /// <summary>In a guest's ledger: the files that this line is for; missing in a line that sums up old ones. They may outlive it only until the collector looks again.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Files { get; init; }

    /// <summary>One line in place of several of one stream and source, in the order in which they were written.</summary>
    public static LossRecord Merge(IEnumerable<LossRecord> records) => records.Aggregate((a, b) => b with
    {
        First = a.First is ulong first && b.First is ulong other ? Math.Min(first, other) : null,
        Last = a.Last is ulong last && b.Last is ulong another ? Math.Max(last, another) : null,
        Records = Sum(a.Records, b.Records),
        Events = Sum(a.Events, b.Events),
        Bytes = Sum(a.Bytes, b.Bytes),
        Files = null,
    });

    private static long? Sum(long? a, long? b) => a is long x && b is long y ? Saturating.Add(x, y) : null;
}

/// <summary><c>FILE.sum</c> beside a closed segment or kmsg file. <c>first</c> and <c>last</c>: trace clock of the first and last sub-buffer, or kmsg sequence.</summary>
public sealed record SegmentSummary
{
    public required string Sha256 { get; init; }

    /// <summary>Sub-buffer slots, or kmsg records.</summary>
    public required long Slots { get; init; }

    public required long Events { get; init; }

    public required ulong First { get; init; }

    public required ulong Last { get; init; }

    /// <summary>Blocks of the file when it was closed, before it was compressed; holes take none. Null where a sidecar had to be made anew.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? Bytes { get; init; }
}

/// <summary>One line of <c>clock.jsonl</c>: the best answer of one burst of pings. Nanoseconds.</summary>
public sealed record ClockSample
{
    public required DateTimeOffset Time { get; init; }

    /// <summary>Host CLOCK_MONOTONIC and CLOCK_REALTIME in the middle between ping and pong.</summary>
    public required long HostMonotonic { get; init; }

    public required long HostRealTime { get; init; }

    /// <summary>Guest trace clock and CLOCK_REALTIME.</summary>
    public required long GuestBoot { get; init; }

    public required long GuestRealTime { get; init; }

    /// <summary>Half the round trip, and what lay between the host's two readings: no delay on the way makes it more.</summary>
    public required long Error { get; init; }

    /// <summary>What printk stamps, at guest trace clock <see cref="GuestLocalAtBoot"/>.</summary>
    public long? GuestLocal { get; init; }

    public long? GuestLocalAtBoot { get; init; }

    public long? GuestLocalError { get; init; }
}
