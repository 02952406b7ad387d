using System.Buffers;
using System.Text;
using System.Text.Json;
using VsockPair.Clocks;
using VsockPair.Decoding;
using VsockPair.Decoding.Printing;
using VsockPair.History;
using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.Export;

/// <summary>
/// One JSON object a line: an event, with its fields as the kernel's format names them, or a loss. <c>time</c> is the host's clock, null where nothing places the boot
/// in it; <c>guest_time</c> the guest's trace clock in nanoseconds. Of a loss, 0 is one whose
/// number stands at the loss before it, null one of unknown number, and with <c>more</c> it is at least so many. <c>text</c> and <c>symbols</c> are what a
/// trace_printk and addresses in the kernel's code stand for. An event whose format makes too much of it has <c>cut</c>, and lacks its last fields.
/// </summary>
internal sealed class EventJson : IDisposable
{
    private static readonly JsonWriterOptions Options = new() { SkipValidation = true, Encoder = new JsonTextEncoder() };

    private readonly ArrayBufferWriter<byte> _line = new();
    private readonly Utf8JsonWriter _json;
    private readonly TextLine _text = new();
    private readonly Dictionary<int, Shape> _shapes = [];
    private readonly EventCatalog _catalog;
    private readonly ClockModel? _clock;
    private long _limit;

    /// <param name="clock">Null when nothing places the boot in host time.</param>
    public EventJson(EventCatalog catalog, ClockModel? clock)
    {
        _catalog = catalog;
        _clock = clock;
        _json = new Utf8JsonWriter(_line, Options);
    }

    public void Dispose() => _json.Dispose();

    /// <summary>The line that an export begins with: what it is of, and the books of each vCPU over the whole boot. Until the next call.</summary>
    public ReadOnlySpan<byte> Head(ExportSource source)
    {
        BootRecord? boot = source.Boot.Record;
        _line.ResetWrittenCount();
        _json.Reset();
        _json.WriteStartObject();
        _json.WriteString("guest", source.Guest.Name);
        _json.WriteString("boot", source.Boot.Name);
        _json.WriteString("kernel", boot?.Kernel);
        _json.WriteString("build_id", boot?.BuildId);
        _json.WriteString("clock", boot?.Clock);
        _json.WriteStartArray("cpus");
        foreach (VcpuRecording vcpu in source.Recording.Vcpus)
        {
            VcpuLosses losses = source.Losses.Of(vcpu);
            _json.WriteStartObject();
            _json.WriteNumber("number", vcpu.Number);
            _json.WriteNumber("overrun", losses.Ring);
            _json.WriteNumber("transport", losses.Transport);
            _json.WriteNumber("retention", losses.Retention);
            _json.WriteEndObject();
        }
        _json.WriteEndArray();
        return EndLine();
    }

    /// <summary>The line of an event with its line feed, until the next call.</summary>
    public ReadOnlySpan<byte> Event(int vcpu, in RingEvent ringEvent)
    {
        BeginLine(vcpu, ringEvent.TimeStamp);
        if (_catalog.Find(ringEvent.Id) is not { } format)
        {
            _json.WriteNumber("id", ringEvent.Id);
            _json.WriteString("payload", Convert.ToHexStringLower(ringEvent.Payload));
            return EndLine();
        }
        if (!_shapes.TryGetValue(format.Id, out Shape? shape))
        {
            shape = new Shape(format.Find("common_pid"), BinaryPrintPrinter.TryFind(format), format.Fields);
            _shapes[format.Id] = shape;
        }
        int pid = (int)(shape.Thread?.Number(ringEvent.Payload) ?? 0);
        _json.WriteNumber("pid", pid);
        _json.WriteString("comm", Encoding.UTF8.GetString(_catalog.CommandLines.Find(pid)));
        _json.WriteString("system", format.System);
        _json.WriteString("event", format.Name);
        _json.WriteStartObject("fields");
        _limit = Length + EventText.MostBytes(ringEvent);
        foreach (FieldFormat field in format.Fields)
        {
            if (!field.IsCommon && !IsCut)
            {
                _json.WritePropertyName(field.Name);
                WriteValue(field, ringEvent.Payload);
            }
        }
        _json.WriteEndObject();
        WriteMeaning(shape, ringEvent);
        if (IsCut)
        {
            _json.WriteBoolean("cut", true);
        }
        return EndLine();
    }

    /// <summary>The line of a loss with its line feed, until the next call.</summary>
    /// <param name="before">Trace clock of the event that follows on this vCPU; null when none does.</param>
    public ReadOnlySpan<byte> Loss(int vcpu, ulong? before, EventLoss loss)
    {
        BeginLine(vcpu, before);
        if (loss.Events is ulong events)
        {
            _json.WriteNumber("lost", events);
        }
        else
        {
            _json.WriteNull("lost");
        }
        if (loss.IsMore)
        {
            _json.WriteBoolean("more", true);
        }
        return EndLine();
    }

    private long Length => _json.BytesCommitted + _json.BytesPending;

    private bool IsCut => Length > _limit;

    private void BeginLine(int vcpu, ulong? time)
    {
        _line.ResetWrittenCount();
        _json.Reset();
        _json.WriteStartObject();
        if (time is ulong known && _clock is ClockModel clock)
        {
            _json.WriteString("time", RfcTimeConverter.Text(clock.HostAtBoot((long)Math.Min(known, long.MaxValue)).Time));
        }
        else
        {
            _json.WriteNull("time");
        }
        if (time is ulong guestTime)
        {
            _json.WriteNumber("guest_time", guestTime);
        }
        else
        {
            _json.WriteNull("guest_time");
        }
        _json.WriteNumber("cpu", vcpu);
    }

    private ReadOnlySpan<byte> EndLine()
    {
        _json.WriteEndObject();
        _json.Flush();
        _line.Write("\n"u8);
        return _line.WrittenSpan;
    }

    private void WriteValue(FieldFormat field, ReadOnlySpan<byte> payload)
    {
        if (field.IsText)
        {
            // Bytes that are no UTF-8 become U+FFFD: JSON has no other way.
            _json.WriteStringValue(Encoding.UTF8.GetString(field.Text(payload)));
        }
        else if (field.IsPointer)
        {
            _json.WriteStringValue($"0x{(ulong)field.Number(payload):x}");
        }
        else if (!field.IsArray && field.Size is 1 or 2 or 4 or 8)
        {
            WriteNumber(field.Number(payload), field.IsSigned);
        }
        else if (field.ElementSize is 1 or 2 or 4 or 8)
        {
            ReadOnlySpan<byte> bytes = field.Bytes(payload);
            _json.WriteStartArray();
            for (; bytes.Length >= field.ElementSize && !IsCut; bytes = bytes[field.ElementSize..])
            {
                WriteNumber(FieldFormat.ReadInteger(bytes[..field.ElementSize], field.IsSigned), field.IsSigned);
            }
            _json.WriteEndArray();
        }
        else
        {
            _json.WriteStringValue(Convert.ToHexStringLower(field.Bytes(payload)));
        }
    }

    /// <summary>What only the boot's metadata can say of the fields: the text of a <c>trace_printk</c>, the names of addresses in the kernel's code.</summary>
    private void WriteMeaning(Shape shape, in RingEvent ringEvent)
    {
        if (shape.BinaryPrint is not null)
        {
            _text.Clear();
            _text.Limit = EventText.MostBytes(ringEvent);
            shape.BinaryPrint.AppendText(_text, new PrintContext(ringEvent.Payload, _catalog));
            _json.WriteString("text", Encoding.UTF8.GetString(_text.Bytes));
        }
        bool any = false;
        foreach (FieldFormat field in shape.Fields)
        {
            if (!IsCut && CodeAddress.TryName(field, (ulong)field.Number(ringEvent.Payload), _catalog.Symbols, out byte[]? name))
            {
                if (!any)
                {
                    _json.WriteStartObject("symbols");
                }
                any = true;
                _json.WriteString(field.Name, Encoding.UTF8.GetString(name));
            }
        }
        if (any)
        {
            _json.WriteEndObject();
        }
    }

    private void WriteNumber(long value, bool isSigned)
    {
        if (isSigned)
        {
            _json.WriteNumberValue(value);
        }
        else
        {
            _json.WriteNumberValue((ulong)value);
        }
    }

    /// <summary>How events of one format are written.</summary>
    private sealed record Shape(FieldFormat? Thread, BinaryPrintPrinter? BinaryPrint, IReadOnlyList<FieldFormat> Fields);
}
