using System.Buffers;
using System.Text;
using System.Text.Json;
using VsockPair.History;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>What <c>vsockpair losses</c> was asked for.</summary>
internal sealed record LossesRequest(string Guest, Selection Selection, bool Json);

/// <summary>
/// <c>vsockpair losses NAME</c>: every line of the ledgers in the order of time, then the sums. A ledger may have a line per second and stream of a week,
/// so lines are merged while they are read and never held.
/// </summary>
internal static class LossesCommand
{
    public static int Run(CommandContext context, LossesRequest request)
    {
        StoredGuest guest = StoredGuest.Find(context.Store, request.Guest);
        IReadOnlyList<StoredBoot> boots = request.Selection.BootsOf(guest, allByDefault: true);
        (DateTimeOffset from, DateTimeOffset to) = HostRange.Of(request.Selection, boots, GuestTimeLine.Log, context.Error).InHostTime(guest, context.Error);
        HashSet<string> chosen = [.. boots.Select(b => b.Name)];
        bool allBoots = boots.Count == guest.Boots.Count;
        IEnumerable<LossRecord> losses = Merge(
        [
            // Retention may have removed the boot whose loss it noted.
            Read(StorePaths.Losses(guest.Folder), null).Where(l => allBoots || chosen.Contains(l.Boot ?? "")),
            .. boots.Select(b => Read(StorePaths.Losses(b.Folder), b.Name)),
        ]).Where(l => l.Time >= from && l.Time <= to);
        LossSums totals = new(perStream: true);
        if (request.Json)
        {
            WriteJson(context.Output, guest.Name, losses, totals);
        }
        else
        {
            WriteText(context.Output, guest.Name, losses, totals);
        }
        return ExitCode.Done;

        IEnumerable<LossRecord> Read(string path, string? boot) =>
            LossLedger.Read(path, context.Error).Select(l => boot is null ? l : l with { Boot = boot });
    }

    private static IEnumerable<LossRecord> Merge(IReadOnlyList<IEnumerable<LossRecord>> ledgers)
    {
        PriorityQueue<IEnumerator<LossRecord>, (DateTimeOffset, int)> next = new();
        for (int i = 0; i < ledgers.Count; i++)
        {
            Advance(ledgers[i].GetEnumerator(), i);
        }
        while (next.TryDequeue(out IEnumerator<LossRecord>? ledger, out (DateTimeOffset, int Order) key))
        {
            yield return ledger.Current;
            Advance(ledger, key.Order);
        }

        void Advance(IEnumerator<LossRecord> ledger, int order)
        {
            if (ledger.MoveNext())
            {
                next.Enqueue(ledger, (ledger.Current.Time, order));
            }
            else
            {
                ledger.Dispose();
            }
        }
    }

    private static void WriteText(TextWriter output, string guest, IEnumerable<LossRecord> losses, LossSums totals)
    {
        foreach (LossRecord loss in losses)
        {
            if (totals.All.Count == 0)
            {
                output.WriteLine($"{"TIME",-30}  {"BOOT",-10}  {"SOURCE",-9}  {"STREAM",-7}  {"RECORDS",9}  {"EVENTS",13}  {"BYTES",9}  FIRST..LAST");
            }
            totals.Add(loss);
            string line = $"{RfcTimeConverter.Text(loss.Time)}  {ShortBoot(loss.Boot),-10}  {TerminalText.Escape(loss.Source),-9}  "
                + $"{TerminalText.Escape(loss.Stream),-7}  {Count(loss.Records),9}  {Count(loss.Events),13}  {Bytes(loss.Bytes),9}  {Range(loss)}";
            output.WriteLine(line.TrimEnd());
        }
        if (totals.All.Count == 0)
        {
            output.WriteLine($"nothing of {guest} was lost");
            return;
        }
        output.WriteLine();
        Table table = new Table("IN ALL", "STREAM", "LINES", "RECORDS", "EVENTS", "BYTES").AlignRight(2, 3, 4, 5);
        foreach (LossSum total in totals.All)
        {
            string least = total.LowerBound ? ">= " : "";
            table.Add(
                TerminalText.Escape(total.Source),
                TerminalText.Escape(total.Stream ?? ""),
                Units.Count(total.Lines),
                total.Stream == LossSum.KmsgStream ? least + Units.Count(total.Records) : Units.Count(total.Records),
                total.Stream == LossSum.KmsgStream ? "" : least + Units.Count(total.Events),
                Units.Bytes(total.Bytes));
        }
        table.Write(output);
    }

    private static void WriteJson(TextWriter output, string guest, IEnumerable<LossRecord> losses, LossSums totals)
    {
        ArrayBufferWriter<byte> buffer = new();
        using Utf8JsonWriter json = new(buffer);
        json.WriteStartObject();
        json.WriteString("guest", guest);
        json.WriteStartArray("losses");
        foreach (LossRecord loss in losses)
        {
            totals.Add(loss);
            JsonSerializer.Serialize(json, loss, StoreJson.Default.LossRecord);
            if (buffer.WrittenCount > 1 << 16)
            {
                Drain();
            }
        }
        json.WriteEndArray();
        json.WritePropertyName("totals");
        JsonSerializer.Serialize(json, totals.All, CommandJson.Default.IReadOnlyCollectionLossSum);
        json.WriteEndObject();
        json.Flush();
        Drain();
        output.WriteLine();

        void Drain()
        {
            output.Write(Encoding.UTF8.GetString(buffer.WrittenSpan));
            buffer.ResetWrittenCount();
        }
    }

    /// <summary>Enough of a boot's name for <c>-b</c>: eight digits, and the number of a later life.</summary>
    private static string ShortBoot(string? boot)
    {
        string name = TerminalText.Escape(boot ?? "");
        int dot = name.IndexOf('.', StringComparison.Ordinal);
        return name[..Math.Min(8, name.Length)] + (dot < 0 ? "" : name[dot..]);
    }

    private static string Count(long? count) => count is long known ? Units.Count(known) : "?";

    private static string Bytes(long? bytes) => bytes is long known ? Units.Bytes(known) : "?";

    private static string Range(LossRecord loss) => loss is { First: null, Last: null } ? "" : $"{loss.First}..{loss.Last}";
}
