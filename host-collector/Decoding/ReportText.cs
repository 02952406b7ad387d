using VsockPair.Decoding.Printing;
using VsockPair.Tracing;

namespace VsockPair.Decoding;

/// <summary>
/// The lines of <c>trace-cmd report</c> 3.1.6: thread, CPU, time, event, fields. To be given the events of all CPUs in the order of their times.
/// </summary>
public sealed class ReportText(EventCatalog catalog)
{
    private const int NameColumns = 20;

    private static readonly Conversion ThreadColumn = new() { Specifier = 's', Precision = -1, Width = 16 };
    private static readonly Conversion PidColumn = new() { Specifier = 'd', Precision = -1, Width = 5, IsLeft = true };
    private static readonly Conversion CpuColumn = new() { Specifier = 'd', Precision = -1, Width = 3, HasZeros = true };

    private readonly EventText _text = new(catalog);

    internal ThreadNames Names => _text.Names;

    /// <inheritdoc cref="EventText.Use"/>
    public void Use(EventCatalog newer) => _text.Use(newer);

    /// <summary>Appends an event, without a line feed at the end.</summary>
    /// <inheritdoc cref="EventText.AppendFields" path="/param"/>
    /// <inheritdoc cref="EventText.AppendFields" path="/returns"/>
    public bool Append(TextLine target, int cpu, in RingEvent ringEvent, in RingEvent next)
    {
        bool isKnown = _text.TryFormat(ringEvent, out EventText.KnownFormat? known);
        if (isKnown)
        {
            int thread = known!.Thread(ringEvent);
            ThreadColumn.AppendText(target, Names.Of(thread));
            target.Append('-');
            PidColumn.AppendNumber(target, (ulong)thread);
            target.Append(" ["u8);
            CpuColumn.AppendNumber(target, (ulong)cpu);
            target.Append("] "u8);
            ReportTime.Append(target, ringEvent.TimeStamp);
        }
        else
        {
            target.Append("[UNKNOWN EVENT][UNKNOWN EVENT]"u8);
        }
        string name = isKnown ? known!.Format.Name : "(NULL)";
        target.Append(isKnown ? ": "u8 : " "u8);
        target.AppendLatin1(name);
        target.Append(": "u8);
        target.Append((byte)' ', NameColumns - name.Length);
        bool consumed = _text.AppendFields(target, cpu, ringEvent, next);
        if (target.Bytes is [.., (byte)'\n'])
        {
            target.Truncate(target.Length - 1);
        }
        return consumed;
    }

    /// <summary>Appends the line that stands before the first event after a loss, without a line feed.</summary>
    /// <param name="events">Null when it is not known how many.</param>
    public static void AppendLoss(TextLine target, int cpu, ulong? events)
    {
        target.Append("CPU:"u8);
        target.AppendDecimal((long)cpu);
        target.Append(" ["u8);
        if (events is not null)
        {
            target.AppendDecimal(events.Value);
            target.Append(' ');
        }
        target.Append("EVENTS DROPPED]"u8);
    }
}
