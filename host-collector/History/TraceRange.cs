namespace VsockPair.History;

/// <summary>A stretch of a boot's trace clock, both ends included.</summary>
internal readonly record struct TraceRange(ulong From, ulong To)
{
    public static TraceRange All { get; } = new(0, ulong.MaxValue);
}

/// <summary>Events that are not stored and that no sub-buffer tells the number of: the transport, the disk or retention lost them, or the ring where a sub-buffer had no room for it.</summary>
/// <param name="After">Trace clock; they lie before the first sub-buffer that begins later.</param>
/// <param name="Last">Of the last of them, where that is known.</param>
/// <param name="RingUntil">Where the ring lost them: sub-buffers up to then that tell of a loss and not of its number tell of a part of this one.</param>
internal readonly record struct PlacedLoss(ulong After, EventLoss Loss, ulong? Last = null, ulong? RingUntil = null);
