namespace VsockPair.Sessions;

/// <summary>At most one bulk connection of a stream is live: newer ones wait here in turn while the older one is drained.</summary>
internal sealed class BulkSlot
{
    public SemaphoreSlim Admission { get; } = new(1, 1);

    /// <summary>Changed only by who holds <see cref="Admission"/>; may have ended already.</summary>
    public BulkConnection? Current { get; set; }
}
