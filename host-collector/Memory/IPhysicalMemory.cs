namespace VsockPair.Memory;

/// <summary>A guest's memory by physical address: of a dump, or of a guest that stands still. What is in it was written by the guest.</summary>
internal interface IPhysicalMemory
{
    /// <returns>False when any byte of it cannot be had; what <paramref name="target"/> holds then is undefined.</returns>
    bool TryRead(ulong address, Span<byte> target);
}
