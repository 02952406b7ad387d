using System.Globalization;
using System.Runtime.InteropServices;
using VsockPair.Decoding;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>Counts events between two summaries.</summary>
internal sealed class TailRates(TimeProvider time)
{
    private const int MostNames = 8;

    /// <summary>Where something was not shown.</summary>
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);

    /// <summary>Where everything was: a summary of what stands above it is rarely of use.</summary>
    private static readonly TimeSpan Seldom = TimeSpan.FromSeconds(10);

    private readonly Dictionary<int, long> _counts = [];
    private long _since = time.GetTimestamp();

    public long NotShown { get; set; }

    public LossCount Lost { get; } = new();

    public LossCount Removed { get; } = new();

    public bool IsDue
    {
        get
        {
            TimeSpan passed = time.GetElapsedTime(_since);
            if (_counts.Count == 0 && !Lost.Any && !Removed.Any)
            {
                // A rate is not of the quiet before it.
                _since = time.GetTimestamp();
                return false;
            }
            return passed >= (NotShown > 0 || Lost.Any || Removed.Any ? Soon : Seldom);
        }
    }

    public void Count(int id) => CollectionsMarshal.GetValueRefOrAddDefault(_counts, id, out _)++;

    /// <summary>The line about what was counted since the last one; null when there is nothing to say.</summary>
    public string? Take(EventCatalog? catalog)
    {
        double seconds = Math.Max(0.001, time.GetElapsedTime(_since).TotalSeconds);
        (string Name, long Count)[] names = [.. _counts.Select(c => (NameOf(catalog, c.Key), c.Value)).OrderByDescending(c => c.Value)];
        string rates = string.Join(", ", names.Take(MostNames).Select(n => $"{n.Name} {Rate(n.Count / seconds)}"));
        long others = names.Skip(MostNames).Sum(n => n.Count);
        rates += others == 0 ? "" : $", {names.Length - MostNames} others {Rate(others / seconds)}";
        string? line = null;
        if (names.Length > 0 || Lost.Any || Removed.Any)
        {
            line = $"-- {Rate(names.Sum(n => n.Count) / seconds)} events/s{(rates.Length > 0 ? ": " + rates : "")}"
                + (NotShown > 0 ? $"; {Units.Count(NotShown)} not shown" : "")
                + (Lost.Any ? $"; {Lost} lost" : "")
                + (Removed.Any ? $"; {Removed} removed by retention before they were read" : "") + " --";
        }
        _counts.Clear();
        NotShown = 0;
        Lost.Clear();
        Removed.Clear();
        _since = time.GetTimestamp();
        return line;
    }

    private static string NameOf(EventCatalog? catalog, int id) =>
        catalog?.Find(id) is { } format ? TerminalText.EscapeShort(format.Name) : string.Create(CultureInfo.InvariantCulture, $"event {id}");

    /// <summary>Of a rare event less than one a second is still something.</summary>
    private static string Rate(double perSecond) => perSecond is > 0 and < 9.95 ? perSecond.ToString("0.0", CultureInfo.InvariantCulture) : Units.Count((long)Math.Round(perSecond));
}

/// <summary>Lost events, of which some may be lost in unknown number.</summary>
internal sealed class LossCount
{
    private long _events;
    private bool _isUnknown;

    public bool Any { get; private set; }

    public void Add(long? events)
    {
        Any = true;
        _isUnknown |= events is null;
        _events = Saturating.Add(_events, Math.Max(0, events ?? 0));
    }

    public void Clear()
    {
        Any = _isUnknown = false;
        _events = 0;
    }

    public override string ToString() => (_isUnknown ? "at least " : "") + Units.Count(_events);
}
