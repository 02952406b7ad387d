using System.Globalization;
using System.Text.Json;
using VsockPair.Clocks;
using VsockPair.Status;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary><c>vsockpair guests [NAME]</c>: who is known, how, and what of them is stored; live figures where the collector runs.</summary>
internal static class GuestsCommand
{
    private const string Unknown = "-";
    private const int NoteWidth = 60;

    public static int Run(CommandContext context, string? name, bool json)
    {
        DateTimeOffset now = context.Time.GetUtcNow();
        StoredGuest[] guests = name is not null
            ? [StoredGuest.Find(context.Store, name)]
            : [.. StoredGuest.Names(context.Store).Select(n => StoredGuest.Open(context.Store, n))];
        CollectorStatus? status = LiveStatus.TryAsk(context.Store, out string missing);
        GuestReport[] reports = [.. guests.Select(g => GuestReport.Of(g, status, now, context.Error))];
        if (name is not null)
        {
            reports[0] = reports[0] with { Crash = CrashReadiness.Of(guests[0], context.Store) };
        }
        if (name is not null && guests[0].NewestBoot is StoredBoot boot && ClockModel.Load(boot, context.Error) is ClockModel clock)
        {
            reports[0] = reports[0] with { Clock = ClockReport.Of(clock) };
        }
        if (json)
        {
            context.Output.WriteLine(name is null
                ? JsonSerializer.Serialize(reports, CommandJson.Default.IReadOnlyListGuestReport)
                : JsonSerializer.Serialize(reports[0], CommandJson.Default.GuestReport));
        }
        else if (name is not null)
        {
            WriteDetail(context.Output, guests[0], reports[0], now);
        }
        else if (reports.Length > 0)
        {
            WriteList(context.Output, reports, now);
        }
        if (status is null && !json)
        {
            context.Output.WriteLine();
            context.Output.WriteLine($"{TerminalText.Escape(missing)}: figures are from the files alone.");
        }
        if (status is { DiskFull: true } && !json)
        {
            context.Output.WriteLine();
            context.Output.WriteLine("The disk is full: traces are not read until there is room again.");
        }
        return reports.Length > 0
            ? ExitCode.Done
            : throw new CommandFailure(
                ExitCode.NothingFound,
                Directory.Exists(context.Store)
                    ? $"no guest has connected yet (store {TerminalText.Escape(context.Store)})"
                    : $"no store at {TerminalText.Escape(context.Store)}; name it with --store, or start vsockpair serve");
    }

    private static void WriteList(TextWriter output, IReadOnlyList<GuestReport> reports, DateTimeOffset now)
    {
        Table table = new Table("NAME", "IDENTIFIED BY", "SEEN", "KERNEL", "VCPUS", "RATE", "PER DAY", "COMPRESSED", "STORED", "HELD", "LOST THIS BOOT", "NOTES").AlignRight(4, 5, 6, 7, 8, 9);
        foreach (GuestReport report in reports)
        {
            table.Add(
                report.Name,
                Identity(report),
                Seen(report, now),
                TerminalText.Escape(report.Kernel ?? Unknown),
                report.Vcpus?.ToString() ?? Unknown,
                report.BytesPerSecond is double rate ? Units.Rate(rate) : Unknown,
                report.BytesPerDay is double day ? Units.Bytes(day) : Unknown,
                report.StoredBytesPerDay is double stored ? Units.Bytes(stored) : Unknown,
                Units.Bytes(report.StoredBytes),
                Held(report),
                Lost(report),
                Notes(report));
        }
        table.Write(output);
    }

    private static void WriteDetail(TextWriter output, StoredGuest guest, GuestReport report, DateTimeOffset now)
    {
        Table facts = new("guest", report.Name);
        facts.Add("identified by", Identity(report));
        facts.Add("calls itself", TerminalText.Escape(report.ClaimedNodeName ?? Unknown));
        facts.Add("seen", Seen(report, now));
        facts.Add("first seen", report.FirstSeen is DateTimeOffset first ? RfcTimeConverter.Text(first) : Unknown);
        facts.Add("last seen", report.LastSeen is DateTimeOffset last ? RfcTimeConverter.Text(last) : Unknown);
        facts.Add("kernel", TerminalText.Escape(report.Kernel ?? Unknown));
        facts.Add("agent", TerminalText.Escape(report.AgentVersion ?? Unknown));
        facts.Add("vCPUs", report.Vcpus?.ToString() ?? Unknown);
        facts.Add("rate", report.BytesPerSecond is double rate ? $"{Units.Rate(rate)}, {Units.Count((long)(report.EventsPerSecond ?? 0))} events/s" : Unknown);
        facts.Add("per day", PerDay(report));
        facts.Add("stored", Units.Bytes(report.StoredBytes));
        facts.Add("history held", report.HistoryUntil is DateTimeOffset until ? $"{Held(report)}, until {RfcTimeConverter.Text(until)}" : Held(report));
        facts.Add("lost this boot", Lost(report));
        WriteClock(facts, report.Clock, now);
        if (report.OverBudget == true)
        {
            facts.Add("over budget", "sends more than GuestRate: its ring loses the rest");
        }
        foreach ((string kind, long count) in report.Violations ?? new Dictionary<string, long>())
        {
            facts.Add("violations", $"{TerminalText.Escape(kind)}: {Units.Count(count)}");
        }
        foreach (string note in report.Notes)
        {
            facts.Add("note", TerminalText.Escape(note));
        }
        WriteCrash(facts, report.Crash!);
        facts.Write(output);
        WriteStreams(output, report.Streams ?? []);
        WriteBoots(output, guest);
    }

    /// <summary>The verdict, then a line for each thing that is missing.</summary>
    private static void WriteCrash(Table facts, CrashReadiness crash)
    {
        facts.Add("crash caught", crash.Text);
        foreach (CrashCheck check in crash.Checks.Where(c => c.Ok == false))
        {
            string fix = check.Fix.Length == 0 ? "" : $"; to mend it: {TerminalText.Escape(check.Fix)}";
            facts.Add("missing", $"{check.Side} {TerminalText.Escape(check.Check)}: {TerminalText.Escape(check.Text)}{fix}");
        }
    }

    private static void WriteClock(Table facts, ClockReport? clock, DateTimeOffset now)
    {
        if (clock is null)
        {
            facts.Add("clock", "no sample yet");
            return;
        }
        string kmsg = clock.KmsgErrorNs is long error ? $"kernel log ±{Units.Seconds(error)}" : "kernel log not known";
        facts.Add("clock", $"trace ±{Units.Seconds(clock.ErrorNs)}, {kmsg}, {Units.Count(clock.Samples)} samples, the last {Units.Duration(now - clock.LastSample)} ago");
        facts.Add("", string.Create(CultureInfo.InvariantCulture, $"runs {Math.Abs(clock.DriftPpm):0.0} ppm {(clock.DriftPpm < 0 ? "slower" : "faster")} than the host's; ")
            + $"the guest's own date is {Units.Seconds(Math.Abs(clock.RealtimeAheadNs))} {(clock.RealtimeAheadNs < 0 ? "behind" : "ahead")}");
        if (clock.Jumps > 0)
        {
            facts.Add("", $"{Units.Count(clock.Jumps)} {(clock.Jumps == 1 ? "jump" : "jumps")} (pause, restore, migration, suspend, a clock that was set), newest:");
        }
        foreach (ClockJump jump in clock.LastJumps.TakeLast(3))
        {
            facts.Add("", $"{RfcTimeConverter.Text(jump.Time)}  host time jumped {(jump.AheadNs < 0 ? "back" : "ahead")} by {Units.Seconds(Math.Abs((decimal)jump.AheadNs))}");
        }
    }

    private static void WriteStreams(TextWriter output, IReadOnlyList<StreamStatus> streams)
    {
        if (streams.Count == 0)
        {
            return;
        }
        output.WriteLine();
        Table table = new Table("STREAM", "CONNECTED", "RATE", "EVENTS/S", "STORED EVENTS", "LOST IN RING", "LOST ON THE WAY").AlignRight(2, 3, 4, 5, 6);
        foreach (StreamStatus stream in streams)
        {
            table.Add(
                TerminalText.Escape(stream.Stream),
                stream.Connected ? "yes" : "no",
                Units.Rate(stream.BytesPerSecond),
                Units.Count((long)stream.EventsPerSecond),
                Units.Count((long)stream.StoredEvents),
                Units.Count((long)stream.RingLostEvents),
                Units.Count((long)stream.TransportLostEvents));
        }
        table.Write(output);
    }

    private static void WriteBoots(TextWriter output, StoredGuest guest)
    {
        if (guest.Boots.Count == 0)
        {
            return;
        }
        output.WriteLine();
        Table table = new("BOOT", "FIRST SEEN", "ENDED", "KERNEL");
        foreach (StoredBoot boot in guest.Boots)
        {
            string ended = boot.Record?.Ended is DateTimeOffset end
                ? $"{RfcTimeConverter.Text(end)} ({TerminalText.Escape(boot.Record.EndReason ?? "no reason")})"
                : Unknown;
            table.Add(boot.Name, RfcTimeConverter.Text(boot.Started), ended, TerminalText.Escape(boot.Record?.Kernel ?? Unknown));
        }
        table.Write(output);
    }

    private static string Identity(GuestReport report)
    {
        string? detail = report.Socket ?? (report.Cid is uint cid ? $"CID {cid}" : null);
        return TerminalText.Escape(report.IdentifiedBy ?? Unknown) + (detail is null ? "" : $", {TerminalText.Escape(detail)}");
    }

    private static string Seen(GuestReport report, DateTimeOffset now)
    {
        if (report.ConnectedSince is DateTimeOffset since)
        {
            return $"connected for {Units.Duration(now - since)}";
        }
        return report.LastSeen is DateTimeOffset last ? $"{Units.Duration(now - last)} ago" : Unknown;
    }

    private static string PerDay(GuestReport report) => (report.BytesPerDay, report.StoredBytesPerDay) switch
    {
        (double day, double stored) => $"{Units.Bytes(day)}, compressed to {Units.Bytes(stored)}",
        (double day, null) => Units.Bytes(day),
        _ => Unknown,
    };

    private static string Held(GuestReport report) => report.HistorySeconds is double seconds ? Units.Duration(TimeSpan.FromSeconds(seconds)) : Unknown;

    private static string Lost(GuestReport report) =>
        report.Losses.Count == 0 ? "nothing" : string.Join("; ", report.Losses.Select(l => l.Short()));

    private static string Notes(GuestReport report)
    {
        if (report.Notes.Count == 0)
        {
            return "";
        }
        string first = TerminalText.Escape(report.Notes[0]);
        return (first.Length > NoteWidth ? first[..NoteWidth] + "…" : first) + (report.Notes.Count > 1 ? $" (+{report.Notes.Count - 1} more)" : "");
    }
}
