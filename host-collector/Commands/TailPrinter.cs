using System.Text;
using VsockPair.Clocks;
using VsockPair.Decoding;
using VsockPair.Export;
using VsockPair.History;
using VsockPair.Storage;
using VsockPair.Text;
using VsockPair.Tracing;

namespace VsockPair.Commands;

/// <summary>Where the events go that are followed.</summary>
internal interface ITailPrinter
{
    void Boot(StoredBoot boot);

    /// <summary>From now on.</summary>
    void Use(EventCatalog catalog, ClockModel? clock);

    /// <param name="next">The event that comes next on any vCPU; default while there is none.</param>
    void Event(int vcpu, in RingEvent ringEvent, in RingEvent next);

    /// <summary>Events are missing before the one at <paramref name="before"/>.</summary>
    void Loss(int vcpu, ulong before, EventLoss loss);

    /// <summary>A line of the boot's ledger.</summary>
    void Lost(int vcpu, LossRecord loss);

    /// <summary>What retention removed before it was read; default for nothing.</summary>
    void PassedOver(EventLoss loss);

    /// <summary>All that is there was given: what there is to say from time to time.</summary>
    void Tell();
}

/// <summary>
/// Lines as <c>trace-cmd report</c> has them, so many a second as a terminal can show; the rest is counted. A line that begins with two dashes is never the guest's, and further lines
/// of an event, as a stack has them, begin with a bar.
/// </summary>
internal sealed class TailTextPrinter(TextWriter output, TimeProvider time) : ITailPrinter
{
    public const int LinesPerSecond = 200;

    /// <summary>Of one event, all its lines; a kernel prints at most 8 KiB.</summary>
    private const int MostLineBytes = 16 << 10;

    private readonly TextLine _line = new() { Limit = MostLineBytes };
    private readonly StringBuilder _text = new();
    private readonly TailRates _rates = new(time);
    private EventCatalog? _catalog;
    private ReportText? _report;
    private long _second = time.GetTimestamp();
    private int _lines;
    private bool _told;

    public void Boot(StoredBoot boot)
    {
        Write(_rates.Take(_catalog));
        output.WriteLine(boot.Headline);
        _report = null;
    }

    public void Use(EventCatalog catalog, ClockModel? clock)
    {
        _catalog = catalog;
        if (_report is null)
        {
            _report = new ReportText(catalog);
        }
        else
        {
            _report.Use(catalog);
        }
    }

    public void Event(int vcpu, in RingEvent ringEvent, in RingEvent next)
    {
        bool told = _told;
        _told = false;
        _rates.Count(ringEvent.Id);
        if (told)
        {
            // The line before has told of this event as well: a function that returned at once.
            return;
        }
        if (HasRoom())
        {
            _told = _report!.Append(_line, vcpu, ringEvent, next);
            EndLine();
        }
        else
        {
            _rates.NotShown++;
        }
    }

    public void Loss(int vcpu, ulong before, EventLoss loss)
    {
        if (HasRoom())
        {
            ReportText.AppendLoss(_line, vcpu, loss.Events);
            EndLine();
        }
    }

    public void Lost(int vcpu, LossRecord loss) => _rates.Lost.Add(loss.Events);

    public void PassedOver(EventLoss loss)
    {
        if (loss.Any)
        {
            _rates.Removed.Add(loss.Events is ulong events ? (long)Math.Min(events, long.MaxValue) : null);
        }
    }

    public void Tell()
    {
        if (_rates.IsDue)
        {
            Write(_rates.Take(_catalog));
        }
    }

    private void Write(string? summary)
    {
        if (summary is not null)
        {
            output.WriteLine(summary);
        }
    }

    private bool HasRoom()
    {
        if (time.GetElapsedTime(_second) >= TimeSpan.FromSeconds(1))
        {
            _lines = 0;
            _second = time.GetTimestamp();
        }
        return _lines++ < LinesPerSecond;
    }

    private void EndLine()
    {
        // A thread may be called "-- boot …", and fill its column.
        _text.Append(_line.Line(0) is [(byte)'-' or (byte)'|', ..] ? " " : "");
        for (int i = 0; i < _line.LineCount; i++)
        {
            _text.Append(i == 0 ? "" : "\n| ");
            TerminalText.Append(_text, _line.Line(i));
        }
        output.Write(_text.Append('\n'));
        _text.Clear();
        _line.Clear();
    }
}

/// <summary>One object a line as <c>export --format ndjson</c> writes them, and <c>{"boot":…}</c> where a boot begins.</summary>
internal sealed class TailJsonPrinter(TextWriter output) : ITailPrinter, IDisposable
{
    private EventJson? _json;

    public void Boot(StoredBoot boot) => output.WriteLine($"{{\"boot\":\"{boot.Name}\"}}");

    public void Use(EventCatalog catalog, ClockModel? clock)
    {
        _json?.Dispose();
        _json = new EventJson(catalog, clock);
    }

    public void Event(int vcpu, in RingEvent ringEvent, in RingEvent next) => output.Write(Encoding.UTF8.GetString(_json!.Event(vcpu, ringEvent)));

    public void Loss(int vcpu, ulong before, EventLoss loss) => output.Write(Encoding.UTF8.GetString(_json!.Loss(vcpu, before, loss)));

    /// <summary>The ring's own losses stand in the sub-buffers as well, which say where.</summary>
    public void Lost(int vcpu, LossRecord loss)
    {
        if (loss.Source != LossSources.Ring)
        {
            output.Write(Encoding.UTF8.GetString(_json!.Loss(vcpu, null, new EventLoss(true, (ulong?)loss.Events))));
        }
    }

    public void PassedOver(EventLoss loss)
    {
        // A line of its own, at its place.
    }

    public void Tell()
    {
    }

    public void Dispose() => _json?.Dispose();
}
