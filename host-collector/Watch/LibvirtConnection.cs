using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VsockPair.Options;

namespace VsockPair.Watch;

/// <summary>
/// One connection to libvirt, for all its domains. Events arrive on the thread of <see cref="LibvirtLoop"/> and are handed to the domain's machine there; that never waits.
/// </summary>
internal sealed class LibvirtConnection : IDisposable
{
    /// <summary>Seconds between keepalives, and how many may stay unanswered: what a guest's heartbeat takes as well.</summary>
    private const int KeepAliveInterval = 5;
    private const uint KeepAliveCount = 3;

    /// <summary>Callbacks get a number and no pointer, so one that comes late finds nothing instead of something freed.</summary>
    private static readonly ConcurrentDictionary<nint, LibvirtConnection> Open = new();
    private static int s_last;

    private readonly LibvirtConnectHandle _handle;
    private readonly nint _number = Interlocked.Increment(ref s_last);
    private readonly List<int> _callbacks = [];
    private readonly ConcurrentDictionary<Guid, LibvirtMachine> _machines = new();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _changed = new(0);
    private readonly TimeProvider _time;

    private LibvirtConnection(LibvirtConnectHandle handle, string uri, TimeProvider time)
    {
        _handle = handle;
        Uri = uri;
        _time = time;
    }

    public string Uri { get; }

    /// <summary>Completes when libvirt is gone, or silent.</summary>
    public Task Closed => _closed.Task;

    /// <summary>Blocks. <see cref="LibvirtLoop"/> runs already.</summary>
    /// <exception cref="MachineException">It cannot be reached.</exception>
    public static LibvirtConnection Connect(string uri, TimeProvider time)
    {
        LibvirtConnectHandle handle = LibvirtLibrary.ConnectOpen(uri);
        if (handle.IsInvalid)
        {
            MachineException failure = LibvirtLibrary.Failure("virConnectOpen");
            handle.Dispose();
            throw failure;
        }
        LibvirtConnection connection = new(handle, uri, time);
        Open[connection._number] = connection;
        try
        {
            connection.Register();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Domains that run, stand or have panicked: all that have a VMM. Blocks.</summary>
    public unsafe IReadOnlyList<LibvirtDomain> List()
    {
        nint* domains = null;
        int count = LibvirtLibrary.ConnectListAllDomains(_handle, &domains, LibvirtLibrary.VIR_CONNECT_LIST_DOMAINS_ACTIVE);
        if (count < 0)
        {
            throw LibvirtLibrary.Failure("virConnectListAllDomains");
        }
        List<LibvirtDomain> found = [];
        for (int i = 0; i < count; i++)
        {
            // libvirt gave an array of count domains, each of which is ours to free, as is the array.
            if (LibvirtLibrary.Text(LibvirtLibrary.DomainGetName(domains[i])) is string name && TryReadUuid(domains[i], out Guid uuid))
            {
                found.Add(new LibvirtDomain(name, uuid));
            }
            _ = LibvirtLibrary.DomainFree(domains[i]);
        }
        NativeMemory.Free(domains);
        return found;
    }

    /// <summary>Until a domain has come or gone, the connection has ended, or the time is over.</summary>
    public async Task WaitForChangeAsync(TimeSpan limit, CancellationToken stop)
    {
        await _changed.WaitAsync(limit, stop).ConfigureAwait(false);
        while (_changed.Wait(0, CancellationToken.None))
        {
            // One look is enough for all that came meanwhile.
        }
    }

    /// <summary>Blocks.</summary>
    /// <exception cref="MachineException">There is no such domain any more.</exception>
    public unsafe LibvirtDomainHandle Lookup(Guid uuid)
    {
        Span<byte> bytes = stackalloc byte[LibvirtLibrary.VIR_UUID_BUFLEN];
        uuid.TryWriteBytes(bytes, bigEndian: true, out _);
        // The pointer is used during the call alone, and the stack does not move.
        fixed (byte* start = bytes)
        {
            LibvirtDomainHandle domain = LibvirtLibrary.DomainLookupByUuid(_handle, start);
            if (domain.IsInvalid)
            {
                MachineException failure = LibvirtLibrary.Failure("virDomainLookupByUUID");
                domain.Dispose();
                throw failure;
            }
            return domain;
        }
    }

    /// <summary>Events of its domain go to the machine from now on.</summary>
    public void Attach(Guid uuid, LibvirtMachine machine)
    {
        _machines[uuid] = machine;
        if (Closed.IsCompleted)
        {
            machine.EndEvents(isGone: false);
        }
    }

    public void Detach(Guid uuid, LibvirtMachine machine) => _machines.TryRemove(new KeyValuePair<Guid, LibvirtMachine>(uuid, machine));

    public unsafe void Dispose()
    {
        End();
        Open.TryRemove(_number, out _);
        foreach (int callback in _callbacks)
        {
            _ = LibvirtLibrary.ConnectDomainEventDeregisterAny(_handle, callback);
        }
        _ = LibvirtLibrary.ConnectUnregisterCloseCallback(_handle, &OnClosed);
        _handle.Dispose();
    }

    private unsafe void Register()
    {
        // Neither is known to every driver of libvirt; without them a dead connection is noticed by the next call.
        _ = LibvirtLibrary.ConnectRegisterCloseCallback(_handle, &OnClosed, _number, 0);
        _ = LibvirtLibrary.ConnectSetKeepAlive(_handle, KeepAliveInterval, KeepAliveCount);
        delegate* unmanaged[Cdecl]<nint, nint, int, int, nint, int> lifecycle = &OnLifecycle;
        delegate* unmanaged[Cdecl]<nint, nint, nint, void> reboot = &OnReboot;
        delegate* unmanaged[Cdecl]<nint, nint, int, nint, void> watchdog = &OnWatchdog;
        Register(LibvirtLibrary.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle);
        Register(LibvirtLibrary.VIR_DOMAIN_EVENT_ID_REBOOT, reboot);
        Register(LibvirtLibrary.VIR_DOMAIN_EVENT_ID_WATCHDOG, watchdog);
    }

    private unsafe void Register(int eventId, void* callback)
    {
        int id = LibvirtLibrary.ConnectDomainEventRegisterAny(_handle, 0, eventId, callback, _number, 0);
        _callbacks.Add(id >= 0 ? id : throw LibvirtLibrary.Failure("virConnectDomainEventRegisterAny"));
    }

    private void End()
    {
        _closed.TrySetResult();
        _changed.Release();
        foreach (LibvirtMachine machine in _machines.Values)
        {
            machine.EndEvents(isGone: false);
        }
    }

    private void TakeLifecycle(Guid domain, int happened, int detail)
    {
        if (happened is LibvirtEvents.VIR_DOMAIN_EVENT_STARTED or LibvirtEvents.VIR_DOMAIN_EVENT_STOPPED)
        {
            _changed.Release();
        }
        if (LibvirtEvents.OfLifecycle(happened, detail) is var (kind, said))
        {
            Tell(domain, kind, said);
        }
        if (happened == LibvirtEvents.VIR_DOMAIN_EVENT_STOPPED && _machines.TryGetValue(domain, out LibvirtMachine? machine))
        {
            machine.EndEvents(isGone: true);
        }
    }

    private void Tell(Guid domain, MachineEventKind kind, string? detail)
    {
        if (_machines.TryGetValue(domain, out LibvirtMachine? machine))
        {
            machine.Tell(new MachineEvent(kind, _time.GetUtcNow(), detail));
        }
    }

    private static bool TryFind(nint number, nint domain, out LibvirtConnection connection, out Guid uuid)
    {
        uuid = default;
        return Open.TryGetValue(number, out connection!) && TryReadUuid(domain, out uuid);
    }

    private static unsafe bool TryReadUuid(nint domain, out Guid uuid)
    {
        byte* bytes = stackalloc byte[LibvirtLibrary.VIR_UUID_BUFLEN];
        bool isRead = LibvirtLibrary.DomainGetUuid(domain, bytes) >= 0;
        uuid = isRead ? new Guid(new ReadOnlySpan<byte>(bytes, LibvirtLibrary.VIR_UUID_BUFLEN), bigEndian: true) : default;
        return isRead;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnLifecycle(nint _, nint domain, int happened, int detail, nint number)
    {
        if (TryFind(number, domain, out LibvirtConnection connection, out Guid uuid))
        {
            connection.TakeLifecycle(uuid, happened, detail);
        }
        return 0;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnReboot(nint _, nint domain, nint number)
    {
        if (TryFind(number, domain, out LibvirtConnection connection, out Guid uuid))
        {
            connection.Tell(uuid, MachineEventKind.Reset, null);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnWatchdog(nint _, nint domain, int action, nint number)
    {
        if (TryFind(number, domain, out LibvirtConnection connection, out Guid uuid))
        {
            connection.Tell(uuid, MachineEventKind.Watchdog, LibvirtEvents.OfWatchdog(action));
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnClosed(nint _, int _1, nint number)
    {
        if (Open.TryGetValue(number, out LibvirtConnection? connection))
        {
            connection.End();
        }
    }
}

/// <summary>A domain with a VMM, as the list tells it.</summary>
internal sealed record LibvirtDomain(string Name, Guid Uuid)
{
    /// <summary>As an argument of virsh that needs no quoting.</summary>
    public string Argument => GuestName.IsValid(Name) ? Name : Uuid.ToString();
}
