using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>What one source lost on one stream, or on all. A figure that a line does not know makes its sum a lower bound.</summary>
internal sealed record LossSum
{
    public required string Source { get; init; }

    public string? Stream { get; init; }

    public int Lines { get; set; }

    public long Records { get; set; }

    public long Events { get; set; }

    public long Bytes { get; set; }

    /// <summary>Some line did not know its events, or its records where the kernel log is meant.</summary>
    public bool LowerBound { get; set; }

    public void Add(LossRecord loss)
    {
        Lines++;
        Records = Saturating.Add(Records, Math.Max(0, loss.Records ?? 0));
        Events = Saturating.Add(Events, Math.Max(0, loss.Events ?? 0));
        Bytes = Saturating.Add(Bytes, Math.Max(0, loss.Bytes ?? 0));
        LowerBound |= loss.Stream == KmsgStream ? loss.Records is null : loss.Events is null;
    }

    public const string KmsgStream = "kmsg";

    /// <summary><c>ring 1,234 events</c>, <c>kmsg 5 records</c>, <c>transport some</c>.</summary>
    public string Short()
    {
        string[] counts =
        [
            .. Events > 0 ? [$"{Units.Count(Events)} events"] : Array.Empty<string>(),
            .. Records > 0 && Events == 0 ? [$"{Units.Count(Records)} records"] : Array.Empty<string>(),
        ];
        string text = counts.Length > 0 ? string.Join(", ", counts) : "some";
        return $"{TerminalText.Escape(Source)} {(LowerBound && counts.Length > 0 ? "at least " : "")}{text}";
    }
}

/// <summary>Adds losses up, per source and, where wanted, per stream.</summary>
internal sealed class LossSums(bool perStream)
{
    private readonly SortedDictionary<(string Source, string Stream), LossSum> _totals = [];

    public IReadOnlyCollection<LossSum> All => _totals.Values;

    public void Add(LossRecord loss)
    {
        string? stream = perStream ? loss.Stream : null;
        // Streams sort by number: cpu10 stands after cpu9.
        string order = stream is null ? "" : $"{stream.Length:D2}{stream}";
        if (!_totals.TryGetValue((loss.Source, order), out LossSum? total))
        {
            total = new LossSum { Source = loss.Source, Stream = stream };
            _totals[(loss.Source, order)] = total;
        }
        total.Add(loss);
    }
}
