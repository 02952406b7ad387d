using System.Buffers.Binary;

namespace VsockPair.Tracing;

/// <summary>
/// Walks the events of one sub-buffer (<c>include/linux/ring_buffer.h</c>): a u32 whose low 5 bits are the type or length and whose upper 27 bits
/// are a time delta. Never reads past the span, whatever the bytes say, and allocates nothing.
/// </summary>
public ref struct EventCursor
{
    private const int EntryBytes = 4;
    private const int DeltaShift = 27;
    private const uint TypeMask = 0x1F;
    private const uint LongData = 0;
    private const uint LongestShortData = 28;
    private const uint Padding = 29;
    private const uint TimeExtend = 30;

    /// <summary>An absolute time stamp holds the low 59 bits; the upper ones are those of the time before it.</summary>
    private const ulong AbsoluteMask = (1UL << 59) - 1;

    private readonly ReadOnlySpan<byte> _data;
    private int _at;
    private ulong _time;

    /// <param name="subBuffer">A slot of a segment, a whole sub-buffer or the used part of one.</param>
    public EventCursor(ReadOnlySpan<byte> subBuffer)
    {
        if (subBuffer.Length < SubBuffer.HeaderBytes)
        {
            IsMalformed = true;
            return;
        }
        Header = new SubBuffer(subBuffer);
        _time = Header.TimeStamp;
        if (!Header.FitsInto(subBuffer.Length))
        {
            IsMalformed = true;
            return;
        }
        _data = subBuffer.Slice(SubBuffer.HeaderBytes, Header.DataBytes);
        if (Header.HasLostCount)
        {
            LostEvents = BinaryPrimitives.ReadUInt64LittleEndian(subBuffer[(SubBuffer.HeaderBytes + Header.DataBytes)..]);
        }
    }

    /// <summary>Only the events, without a header: for those who count and need no times.</summary>
    internal static EventCursor OverData(ReadOnlySpan<byte> data) => new(data, default(SubBuffer));

    private EventCursor(ReadOnlySpan<byte> data, SubBuffer header)
    {
        _data = data;
        Header = header;
    }

    /// <summary>Goes on where another cursor over the same bytes stood: what a class has to keep instead of a cursor.</summary>
    public EventCursor(ReadOnlySpan<byte> subBuffer, CursorPlace place)
        : this(subBuffer)
    {
        if (!IsMalformed && place.Position > 0)
        {
            _at = Math.Clamp(place.Position - SubBuffer.HeaderBytes, 0, _data.Length);
            _time = place.Time;
        }
    }

    /// <summary>Where the walk stands.</summary>
    public readonly CursorPlace Place => new(SubBuffer.HeaderBytes + _at, _time);

    public SubBuffer Header { get; }

    /// <summary>How many events were lost before this sub-buffer, as far as the kernel had room to say: null when <see cref="SubBuffer.Missed"/> is all that is known.</summary>
    public ulong? LostEvents { get; }

    /// <summary>The walk ended before the end of the data, because a length cannot be. Events before that are good.</summary>
    public bool IsMalformed { get; private set; }

    /// <returns>False at the end, and at the first fault (<see cref="IsMalformed"/>).</returns>
    public bool TryRead(out RingEvent ringEvent)
    {
        while (_data.Length - _at >= EntryBytes)
        {
            ReadOnlySpan<byte> rest = _data[_at..];
            uint entry = BinaryPrimitives.ReadUInt32LittleEndian(rest);
            uint type = entry & TypeMask;
            uint delta = entry >> 5;
            if (type is > LongData and <= LongestShortData)
            {
                int bytes = (int)type * 4;
                if (bytes > rest.Length - EntryBytes)
                {
                    break;
                }
                _at += EntryBytes + bytes;
                _time += delta;
                ringEvent = new RingEvent { TimeStamp = _time, Payload = rest.Slice(EntryBytes, bytes) };
                return true;
            }
            if (entry == Padding)
            {
                // A padding without a delta: the rest of the sub-buffer is unused.
                _at = _data.Length;
                break;
            }
            if (rest.Length < 2 * EntryBytes)
            {
                break;
            }
            uint second = BinaryPrimitives.ReadUInt32LittleEndian(rest[EntryBytes..]);
            if (type >= TimeExtend)
            {
                ulong time = ((ulong)second << DeltaShift) + delta;
                _time = type == TimeExtend ? _time + time : (_time & ~AbsoluteMask) | time;
                _at += 2 * EntryBytes;
                continue;
            }
            // The length word counts itself; a discarded event keeps its own. The kernel's are multiples of 4, and other readers round up.
            if (second < EntryBytes || second % EntryBytes != 0 || second > rest.Length - EntryBytes)
            {
                break;
            }
            _at += EntryBytes + (int)second;
            _time += delta;
            if (type == LongData)
            {
                ringEvent = new RingEvent { TimeStamp = _time, Payload = rest.Slice(2 * EntryBytes, (int)second - EntryBytes) };
                return true;
            }
        }
        IsMalformed |= _at != _data.Length;
        ringEvent = default;
        return false;
    }
}

/// <summary>A place between two events of a sub-buffer.</summary>
/// <param name="Position">Bytes of the sub-buffer that lie before it, its header included; 0 for the beginning.</param>
/// <param name="Time">Trace clock of the event before it.</param>
public readonly record struct CursorPlace(int Position, ulong Time);
