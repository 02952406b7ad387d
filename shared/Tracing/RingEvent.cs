using System.Buffers.Binary;

namespace VsockPair.Tracing;

/// <summary>One event of a sub-buffer. The payload is what the kernel wrote, rounded up to words: the last of its bytes may be filling.</summary>
public readonly ref struct RingEvent
{
    /// <summary>Trace clock, absolute.</summary>
    public required ulong TimeStamp { get; init; }

    public required ReadOnlySpan<byte> Payload { get; init; }

    /// <summary>The <c>common_type</c> that every event begins with: which format describes it. 0, which no format has, when there is no room for it.</summary>
    public int Id => Payload.Length >= sizeof(ushort) ? BinaryPrimitives.ReadUInt16LittleEndian(Payload) : 0;
}
