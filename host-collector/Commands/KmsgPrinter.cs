using System.Globalization;
using System.Buffers;
using System.Text;
using System.Text.Json;
using VsockPair.Clocks;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>Where records go that were chosen, for one boot after the other.</summary>
internal interface IKmsgPrinter
{
    void Boot(StoredBoot boot, ClockModel? clock);

    void Record(in KmsgRecord record);

    /// <param name="removed">Of the sequence numbers from <paramref name="first"/> to <paramref name="last"/>, those that were stored and that retention removed.</param>
    void Gap(ulong first, ulong last, ulong removed);

    void Damaged(long bytes);
}

/// <summary>As dmesg shows it.</summary>
/// <param name="hostTimes">Where the boot has a clock, the host's time before the guest's.</param>
internal sealed class KmsgTextPrinter(TextWriter output, bool namesBoots, bool colours, bool hostTimes = false) : IKmsgPrinter
{
    private const string HostTimeFormat = "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z '";

    private readonly StringBuilder _line = new();
    private byte[] _text = [];
    private ClockModel? _clock;

    /// <summary>What stands before a line with host times; empty without a clock.</summary>
    public static string HostTime(ClockModel? clock, long nanoseconds) =>
        clock?.HostAtLocal(nanoseconds).Time.UtcDateTime.ToString(HostTimeFormat, CultureInfo.InvariantCulture) ?? "";

    public void Boot(StoredBoot boot, ClockModel? clock)
    {
        _clock = hostTimes ? clock : null;
        if (namesBoots)
        {
            output.WriteLine(boot.Headline);
        }
    }

    public void Record(in KmsgRecord record)
    {
        _line.Clear();
        if (_text.Length < record.Text.Length)
        {
            _text = new byte[record.Text.Length];
        }
        int length = KmsgRecord.Unescape(record.Text, _text);
        DmesgLine.Append(_line, record.Microseconds, _text.AsSpan(0, length), colours ? (int)(record.Priority & 7) : null, HostTime(_clock, record.Nanoseconds));
        output.Write(_line);
    }

    public void Gap(ulong first, ulong last, ulong removed)
    {
        ulong lost = last - first + 1 - removed;
        if (removed > 0)
        {
            output.WriteLine($"-- {Units.Count((long)removed)} records removed by retention --");
        }
        if (lost > 0)
        {
            output.WriteLine(DmesgLine.Lost(lost));
        }
    }

    public void Damaged(long bytes) => output.WriteLine($"-- {bytes} bytes that are no record --");
}

/// <summary>One object a line. <c>raw</c> is the text as the kernel escaped it, <c>text</c> what it meant, with U+FFFD for bytes that are no UTF-8.</summary>
internal sealed class KmsgJsonPrinter(TextWriter output) : IKmsgPrinter
{
    private readonly ArrayBufferWriter<byte> _line = new();
    private StoredBoot? _boot;
    private ClockModel? _clock;

    public void Boot(StoredBoot boot, ClockModel? clock)
    {
        _boot = boot;
        _clock = clock;
    }

    public void Record(in KmsgRecord record)
    {
        byte[] text = new byte[record.Text.Length];
        int length = KmsgRecord.Unescape(record.Text, text);
        using Utf8JsonWriter json = Begin();
        json.WriteNumber("sequence", record.Sequence);
        json.WriteNumber("microseconds", record.Microseconds);
        if (_clock is null)
        {
            json.WriteNull("time");
        }
        else
        {
            ClockReading time = _clock.HostAtLocal(record.Nanoseconds);
            json.WriteString("time", RfcTimeConverter.Text(time.Time));
            WriteError(json, time);
        }
        json.WriteNumber("level", record.Priority & 7);
        json.WriteNumber("facility", record.Priority >> 3);
        json.WriteString("flags", Encoding.UTF8.GetString(record.Flags));
        json.WriteString("text", Encoding.UTF8.GetString(text.AsSpan(0, length)));
        json.WriteString("raw", Encoding.UTF8.GetString(record.Text));
        WriteFields(json, record.Fields);
        End(json);
    }

    public void Gap(ulong first, ulong last, ulong removed)
    {
        using Utf8JsonWriter json = Begin();
        json.WriteStartObject("gap");
        json.WriteNumber("first", first);
        json.WriteNumber("last", last);
        json.WriteNumber("removed", removed);
        json.WriteNumber("lost", last - first + 1 - removed);
        json.WriteEndObject();
        End(json);
    }

    public void Damaged(long bytes)
    {
        using Utf8JsonWriter json = Begin();
        json.WriteNumber("damaged_bytes", bytes);
        End(json);
    }

    /// <summary>A field may come twice, as SUBSYSTEM does in no kernel but could from a hostile one: the first one counts.</summary>
    private static void WriteFields(Utf8JsonWriter json, ReadOnlySpan<byte> fields)
    {
        if (fields.IsEmpty)
        {
            return;
        }
        HashSet<string> seen = new(StringComparer.Ordinal);
        json.WriteStartObject("fields");
        foreach (Range range in fields.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = fields[range];
            int equals = line.IndexOf((byte)'=');
            if (equals > 1 && seen.Add(Encoding.UTF8.GetString(line[1..equals])))
            {
                json.WriteString(Encoding.UTF8.GetString(line[1..equals]), Encoding.UTF8.GetString(line[(equals + 1)..]));
            }
        }
        json.WriteEndObject();
    }

    private static void WriteError(Utf8JsonWriter json, in ClockReading time)
    {
        if (time.Error == ClockReading.Unbounded)
        {
            json.WriteNull("time_error_ns");
        }
        else
        {
            json.WriteNumber("time_error_ns", time.Error);
        }
    }

    private Utf8JsonWriter Begin()
    {
        _line.ResetWrittenCount();
        Utf8JsonWriter json = new(_line);
        json.WriteStartObject();
        json.WriteString("boot", _boot?.Name);
        return json;
    }

    private void End(Utf8JsonWriter json)
    {
        json.WriteEndObject();
        json.Flush();
        output.WriteLine(Encoding.UTF8.GetString(_line.WrittenSpan));
    }
}
