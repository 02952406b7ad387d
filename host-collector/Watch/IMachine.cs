using System.Threading.Channels;
using VsockPair.Linux;
using VsockPair.Memory;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>One running virtual machine, by QMP or libvirt. For one task at a time; <see cref="Events"/> has its own reader.</summary>
internal interface IMachine : IStandingMemory, IAsyncDisposable
{
    MachineIdentity Identity { get; }

    /// <summary>What of the host's side decides whether a crash of this machine is caught, as it was found on connecting.</summary>
    IReadOnlyList<CheckRecord> Checks { get; }

    /// <summary>In the order in which they came; completed when the connection ends.</summary>
    ChannelReader<MachineEvent> Events { get; }

    /// <summary>After the end of <see cref="Events"/>: its VMM has ended, and not only the way to it.</summary>
    bool IsGone { get; }

    /// <summary>Who sees to this machine when it panics, as it is set now; null when it stands until we let it go.</summary>
    IManagedPanic? ManagedPanic { get; }

    Task<MachineState> QueryStateAsync(CancellationToken stop);

    /// <summary>Bytes of RAM as the machine has them now.</summary>
    Task<long> QueryMemoryBytesAsync(CancellationToken stop);

    /// <summary>Pauses the vCPUs. A paused or panicked machine stays as it is.</summary>
    Task PauseAsync(CancellationToken stop);

    Task ContinueAsync(CancellationToken stop);

    Task ResetAsync(CancellationToken stop);

    /// <summary>The whole memory, in the best format that the machine offers, to an open file (0600) of ours.</summary>
    /// <param name="progress">Bytes done of all, uncompressed.</param>
    /// <exception cref="MachineException">It failed; the file holds nothing of use.</exception>
    Task<MemoryFormat> DumpAsync(Fd file, string path, IProgress<(long Done, long Total)> progress, CancellationToken stop);

    /// <summary>Gives back what was changed in the machine for watching it. Only for a stop in good order: disposal alone leaves it as it is.</summary>
    Task LeaveAsync(CancellationToken stop);
}

/// <param name="Source">Where it was found, e.g. <c>qmp:/run/vms/web1/qmp.sock</c> or <c>libvirt:qemu:///system</c>.</param>
/// <param name="Started">When its VMM was started; null when that cannot be known.</param>
internal sealed record MachineIdentity(string Name, Guid? Uuid, uint? Cid, DateTimeOffset? Started, string Source);

internal enum MachineState
{
    Running,
    Paused,
    Panicked,
    Shutdown,

    /// <summary>Stopped by its VMM: internal error, I/O error, watchdog, migration.</summary>
    Other,
}

internal enum MachineEventKind
{
    Panicked,
    CrashLoaded,
    Watchdog,
    Reset,
    Stopped,
    Resumed,
    Shutdown,
}

/// <param name="Time">The VMM's own time stamp where it has one, on this host's realtime.</param>
/// <param name="Detail">The VMM's own words, e.g. <c>guest-reset</c> or <c>{"type":"hyper-v"…}</c>; null when it said nothing.</param>
internal readonly record struct MachineEvent(MachineEventKind Kind, DateTimeOffset Time, string? Detail);

internal enum MemoryFormat
{
    Elf,
    Kdump,
    KdumpFlattened,
}

/// <summary>What a machine refused or could not do, in its own words.</summary>
internal sealed class MachineException(string message, Exception? inner = null) : Exception(message, inner);
