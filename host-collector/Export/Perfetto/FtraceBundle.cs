using VsockPair.Decoding;
using VsockPair.Decoding.Printing;
using VsockPair.Tracing;

namespace VsockPair.Export.Perfetto;

/// <summary>Events of one vCPU on their way into one packet. Formats are looked up once.</summary>
internal sealed class FtraceBundle(int vcpu, EventCatalog catalog, PacketWriter packets, Dictionary<int, FtraceBundle.Shape> shapes)
{
    private const int MostEvents = 512;
    private const int MostBytes = 1 << 16;

    private readonly ProtoWriter _bundle = new();
    private readonly TextLine _text = new();
    private int _events;
    private bool _lost;

    /// <summary>Events of this vCPU were lost after those that were added so far.</summary>
    public void MarkLoss()
    {
        Flush();
        _lost = true;
    }

    public void Add(in RingEvent ringEvent)
    {
        if (_events++ == 0)
        {
            _bundle.Clear();
            _bundle.Number(PerfettoFields.Bundle.Cpu, (ulong)vcpu);
            if (_lost)
            {
                _bundle.Bool(PerfettoFields.Bundle.LostEvents, true);
            }
            _lost = false;
        }
        int start = _bundle.Begin(PerfettoFields.Bundle.Event);
        Write(ringEvent);
        _bundle.End(start);
        if (_events == MostEvents || _bundle.Length > MostBytes)
        {
            Flush();
        }
    }

    public void Flush()
    {
        if (_events > 0)
        {
            packets.Write(PerfettoFields.Packet.FtraceEvents, _bundle.Bytes);
        }
        _events = 0;
    }

    private void Write(in RingEvent ringEvent)
    {
        if (!shapes.TryGetValue(ringEvent.Id, out Shape? shape))
        {
            shape = Shape.Of(catalog.Find(ringEvent.Id));
            shapes.Add(ringEvent.Id, shape);
        }
        int limit = _bundle.Length + EventText.MostBytes(ringEvent);
        _bundle.Number(PerfettoFields.Event.Timestamp, ringEvent.TimeStamp);
        _bundle.Number(PerfettoFields.Event.Pid, (uint)(shape.Thread?.Number(ringEvent.Payload) ?? 0));
        if (shape.BinaryPrint is not null)
        {
            WritePrint(shape.BinaryPrint, ringEvent);
            return;
        }
        int message = _bundle.Begin(shape.Known?.Field ?? PerfettoFields.Event.Generic);
        if (shape.Known is null)
        {
            _bundle.Text(PerfettoFields.Generic.Name, shape.Format?.Name ?? $"unknown event {ringEvent.Id}");
        }
        foreach ((FieldFormat field, int number) in shape.Fields)
        {
            if (_bundle.Length > limit)
            {
                // A format that has many fields lie in one place.
                break;
            }
            if (shape.Known is null)
            {
                WriteGeneric(field, ringEvent.Payload);
            }
            else if (field.IsText)
            {
                _bundle.Text(number, field.Text(ringEvent.Payload));
            }
            else
            {
                long value = field.Number(ringEvent.Payload);
                _bundle.Number(number, KnownEvent.IsSymbol(field.Name) ? packets.Intern((ulong)value) : (ulong)value);
            }
        }
        _bundle.End(message);
    }

    /// <summary>As if the kernel had put the text together when it was written.</summary>
    private void WritePrint(BinaryPrintPrinter print, in RingEvent ringEvent)
    {
        PrintContext context = new(ringEvent.Payload, catalog);
        _text.Clear();
        _text.Limit = EventText.MostBytes(ringEvent);
        print.AppendText(_text, context);
        int message = _bundle.Begin(PerfettoFields.Print.Event);
        _bundle.Number(PerfettoFields.Print.Ip, print.Place(context));
        _bundle.Text(PerfettoFields.Print.Text, _text.Bytes);
        _bundle.End(message);
    }

    private void WriteGeneric(FieldFormat field, ReadOnlySpan<byte> payload)
    {
        int start = _bundle.Begin(PerfettoFields.Generic.Field);
        _bundle.Text(PerfettoFields.Generic.FieldName, field.Name);
        long value = field.Number(payload);
        if (field.IsText)
        {
            _bundle.Text(PerfettoFields.Generic.FieldText, field.Text(payload));
        }
        else if (field.IsArray || field.Size is not (1 or 2 or 4 or 8))
        {
            _bundle.Text(PerfettoFields.Generic.FieldText, Convert.ToHexStringLower(field.Bytes(payload)));
        }
        else if (CodeAddress.TryName(field, (ulong)value, catalog.Symbols, out byte[]? place))
        {
            _bundle.Text(PerfettoFields.Generic.FieldText, place);
        }
        else if (field.IsSigned)
        {
            _bundle.Number(PerfettoFields.Generic.FieldSigned, value);
        }
        else
        {
            _bundle.Number(PerfettoFields.Generic.FieldUnsigned, (ulong)value);
        }
        _bundle.End(start);
    }

    /// <summary>How events of one format are written.</summary>
    internal sealed record Shape(EventFormat? Format, KnownEvent? Known, FieldFormat? Thread, BinaryPrintPrinter? BinaryPrint, IReadOnlyList<(FieldFormat Field, int Number)> Fields)
    {
        public static Shape Of(EventFormat? format)
        {
            if (format is null)
            {
                return new Shape(null, null, null, null, []);
            }
            KnownEvent? known = KnownEvents.Find(format.System, format.Name);
            FieldFormat[] own = [.. format.Fields.Where(f => !f.IsCommon)];
            return new Shape(format, known, format.Find("common_pid"), BinaryPrintPrinter.TryFind(format), known is null
                ? [.. own.Select(f => (f, 0))]
                : [.. own.Where(f => known.Fields.ContainsKey(f.Name)).Select(f => (f, known.Fields[f.Name]))]);
        }
    }
}
