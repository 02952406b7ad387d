using System.Buffers.Binary;

namespace VsockPair.Tracing;

/// <summary>
/// Header of one sub-buffer as <c>trace_pipe_raw</c> gives it on a 64-bit little-endian kernel: u64 time stamp, u64 commit, then the events.
/// 6.1 shows the commit field sign-extended, later kernels do not, so it is cut to 32 bits first.
/// </summary>
public readonly record struct SubBuffer
{
    public const int HeaderBytes = 16;
    public const int LostCountBytes = 8;

    /// <summary><c>RB_MISSED_EVENTS</c> in the commit field.</summary>
    public const uint MissedEvents = 1u << 31;

    /// <summary><c>RB_MISSED_STORED</c>.</summary>
    public const uint MissedStored = 1u << 30;

    private const uint LengthMask = 0xFFFFF;

    /// <summary>Trace clock at the first event, nanoseconds for clock <c>boot</c>.</summary>
    public ulong TimeStamp { get; }

    /// <summary>Bytes of events after the header.</summary>
    public int DataBytes { get; }

    /// <summary>Events were lost before this sub-buffer.</summary>
    public bool Missed { get; }

    /// <summary>A count of the lost events follows the data, 8 bytes.</summary>
    public bool HasLostCount { get; }

    public SubBuffer(ReadOnlySpan<byte> header)
    {
        TimeStamp = BinaryPrimitives.ReadUInt64LittleEndian(header);
        uint commit = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        DataBytes = (int)(commit & LengthMask);
        Missed = (commit & MissedEvents) != 0;
        HasLostCount = (commit & MissedStored) != 0;
    }

    /// <summary>Header, events, and lost count where there is one: what a tail carries.</summary>
    public int UsedBytes => HeaderBytes + DataBytes + (HasLostCount ? LostCountBytes : 0);

    public bool FitsInto(int subBufferBytes) => UsedBytes <= subBufferBytes;
}
