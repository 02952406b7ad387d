namespace VsockPair.History;

/// <summary>A stretch of a boot's trace clock, both ends included.</summary>
internal readonly record struct TraceRange(ulong From, ulong To)
{
    public static TraceRange All { get; } = new(0, ulong.MaxValue);
}

/// <summary>Events that are not stored and that no sub-buffer tells of: the transport, the disk or retention lost them.</summary>
/// <param name="After">Trace clock; they lie before the first sub-buffer that begins later.</param>
internal readonly record struct PlacedLoss(ulong After, EventLoss Loss);
