using System.Runtime.InteropServices;
using VsockPair.Decoding.Printing;
using VsockPair.Tracing;

namespace VsockPair.Decoding;

/// <summary>
/// Prints events as <c>trace-cmd report</c> 3.1.6 does. To be given the events of all CPUs in the order of their times: like trace-cmd it remembers the
/// names of threads and who called whom. One thread at a time. What guests chose is in the text as it came.
/// </summary>
/// <remarks>
/// Followed although it is wrong: numbers have no sign until they are printed, operators are grouped in its own way (<see cref="PrintParser"/>), a <c>struct page</c> is added to
/// <c>vmemmap_base</c>'s own address, letters behind <c>%p</c> that it does not know are printed. Not followed: it gives up on a tab in a format, on arrays whose count is divided, on
/// <c>__print_ns_to_secs</c>, and for good on <c>bprint</c> after one format with <c>%hu</c>; it prints <c>&gt;c&lt;</c> for <c>%c</c>; it reads past the end of an event.
/// Not known: the tables of its plugins for kvm, scsi and xen; those events are printed by their own formats.
/// </remarks>
public sealed class EventText
{
    /// <summary>
    /// The kernel itself prints at most 8 KiB of an event. Arrays in hexadecimal take four bytes for one. A hostile format makes no more of an event than this.
    /// </summary>
    private const int MaxTextBytes = 8192;
    private const int MaxTextBytesByPayloadByte = 8;

    private EventCatalog _catalog;
    private readonly PrintState _state;
    private readonly Dictionary<int, KnownFormat> _formats = [];

    public EventText(EventCatalog catalog)
    {
        _catalog = catalog;
        _state = new PrintState(catalog.CommandLines);
    }

    /// <summary>Goes on with what is known of the same boot by now; what events have told so far stays.</summary>
    public void Use(EventCatalog catalog)
    {
        _catalog = catalog;
        foreach ((int id, KnownFormat? known) in _formats)
        {
            if (!ReferenceEquals(known?.Format, catalog.Find(id)))
            {
                _formats.Remove(id);
            }
        }
        _state.Names.Use(catalog.CommandLines);
    }

    /// <summary>Appends what trace-cmd prints after an event's name. May hold several lines; the last one may end in a line feed.</summary>
    /// <param name="next">The event that comes next on any CPU; default when there is none.</param>
    /// <returns>True when the text tells of <paramref name="next"/> as well, which then is not to be printed: a function that returns without having called another.</returns>
    public bool AppendFields(TextLine target, int cpu, in RingEvent ringEvent, in RingEvent next)
    {
        int limit = target.Limit;
        target.Limit = (int)Math.Min(limit, (long)target.Length + MostBytes(ringEvent));
        bool isTold = Append(target, cpu, ringEvent, next);
        target.Limit = limit;
        if (target.IsCut)
        {
            target.Append("..."u8);
        }
        return isTold;
    }

    /// <summary>What any form of an event may take, but for a field that has reached this: its format may have many fields lie in one place.</summary>
    internal static int MostBytes(in RingEvent ringEvent) => MaxTextBytes + ringEvent.Payload.Length * MaxTextBytesByPayloadByte;

    private bool Append(TextLine target, int cpu, in RingEvent ringEvent, in RingEvent next)
    {
        if (!TryFormat(ringEvent, out KnownFormat? known))
        {
            target.Append("[UNKNOWN EVENT]"u8);
            return false;
        }
        _state.Cpu = cpu;
        _state.TimeStamp = ringEvent.TimeStamp;
        PrintContext context = new(ringEvent.Payload, _catalog);
        if (known.Printer is GraphEntryPrinter entry && TryFormat(next, out KnownFormat? nextKnown) && nextKnown.Printer is GraphExitPrinter exit
            && nextKnown.Thread(next) == known.Thread(ringEvent) && entry.TryAppendLeaf(target, context, exit, new PrintContext(next.Payload, _catalog)))
        {
            return true;
        }
        known.Printer.Append(target, context, _state);
        return false;
    }

    /// <summary>As far as they are known up to here.</summary>
    internal ThreadNames Names => _state.Names;

    /// <returns>False for an event of no known format.</returns>
    internal bool TryFormat(in RingEvent ringEvent, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out KnownFormat? known)
    {
        ref KnownFormat? entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_formats, ringEvent.Id, out bool exists);
        if (!exists)
        {
            entry = _catalog.Find(ringEvent.Id) is { } format ? new KnownFormat(format) : null;
        }
        known = entry;
        return known is not null;
    }

    /// <summary>A format that was met, with all that printing needs of it.</summary>
    internal sealed class KnownFormat(EventFormat format)
    {
        private readonly FieldFormat? _thread = format.Find("common_pid");

        public EventFormat Format { get; } = format;

        public EventPrinter Printer { get; } = EventPrinter.For(format);

        public int Thread(in RingEvent ringEvent) => _thread is null ? 0 : (int)_thread.Number(ringEvent.Payload);
    }
}
