namespace VsockPair.Memory;

/// <summary>The memory of a machine that stands still, while <c>watch</c> holds it.</summary>
internal interface IStandingMemory
{
    /// <summary>A stretch of physical memory of a machine that stands still.</summary>
    /// <returns>False when there is no RAM there.</returns>
    Task<bool> ReadMemoryAsync(ulong address, Memory<byte> target, CancellationToken stop);

    /// <summary>Notes of an ELF core of this machine: registers of every vCPU, and the guest's VMCOREINFO where it has the device. Null when they cannot be had.</summary>
    Task<byte[]?> ReadNotesAsync(CancellationToken stop);
}
