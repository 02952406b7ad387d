using System.Runtime.InteropServices;
using System.Threading.Channels;
using VsockPair.Linux;
using VsockPair.Memory;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>
/// A domain of libvirt's QEMU driver. libvirt's calls block, each at most as long as libvirt waits for another one's job on the domain (30 s), so they are made on pool threads;
/// the one that takes the memory has a thread of its own.
/// </summary>
internal sealed class LibvirtMachine : IMachine
{
    /// <summary>The most that libvirt's protocol lets through at once is 4 MiB, in old versions 1 MiB.</summary>
    private const int MostPeekBytes = 1 << 20;

    private const int BytesPerKiB = 1024;

    // virterror.h: what a libvirt or QEMU says that does not know a format.
    private const int VIR_ERR_NO_SUPPORT = 3;
    private const int VIR_ERR_INVALID_ARG = 8;
    private const int VIR_ERR_NO_DOMAIN = 42;
    private const int VIR_ERR_CONFIG_UNSUPPORTED = 67;
    private const int VIR_ERR_ARGUMENT_UNSUPPORTED = 74;
    private const int VIR_ERR_OPERATION_UNSUPPORTED = 84;

    private static readonly TimeSpan ProgressInterval = TimeSpan.FromMilliseconds(50);

    /// <summary><c>virsh set-lifecycle-action</c> tells nobody. A crash reads it anew, unless the domain is gone by then.</summary>
    private static readonly TimeSpan XmlAge = TimeSpan.FromSeconds(10);

    /// <summary>Never full for long: the inbox counts what comes, and libvirt's thread must not wait.</summary>
    private readonly Channel<MachineEvent> _events = Channel.CreateUnbounded<MachineEvent>(new UnboundedChannelOptions { SingleReader = false });
    private readonly LibvirtConnection _connection;
    private readonly LibvirtDomainHandle _domain;
    private readonly LibvirtDomain _known;
    private readonly TimeProvider _time;
    private readonly uint _id;
    private DomainXml _xml = null!;
    private long _xmlRead;
    private bool _hasPanicked;
    private volatile bool _hasEnded;
    private volatile bool _isGone;

    private LibvirtMachine(LibvirtConnection connection, LibvirtDomainHandle domain, LibvirtDomain known, TimeProvider time)
    {
        _connection = connection;
        _domain = domain;
        _known = known;
        _time = time;
        _id = LibvirtLibrary.DomainGetId(domain);
    }

    public MachineIdentity Identity { get; private set; } = null!;

    public IReadOnlyList<CheckRecord> Checks { get; private set; } = [];

    public ChannelReader<MachineEvent> Events => _events.Reader;

    public bool IsGone => _isGone;

    /// <summary>A domain that is gone was ended by libvirt, whatever was known of its on_crash: that may have been changed a moment ago.</summary>
    public IManagedPanic? ManagedPanic => _xml.OnCrash == DomainXml.Preserve && !_isGone ? null : new LibvirtPanic(this, _xml);

    /// <summary>Of this run of the domain.</summary>
    public uint Id => _id;

    public LibvirtDomain Domain => _known;

    public bool HasEnded => _hasEnded;

    /// <param name="source">Where it was found (<see cref="MachineIdentity.Source"/>).</param>
    /// <exception cref="MachineException">It does not run any more.</exception>
    public static async Task<LibvirtMachine> ConnectAsync(LibvirtConnection connection, LibvirtDomain known, string name, string source, TimeProvider time, CancellationToken stop)
    {
        LibvirtDomainHandle domain = await Task.Run(() => connection.Lookup(known.Uuid), stop).ConfigureAwait(false);
        LibvirtMachine machine = new(connection, domain, known, time);
        // From here on nothing that happens is missed.
        connection.Attach(known.Uuid, machine);
        try
        {
            await machine.ReadXmlAsync(stop).ConfigureAwait(false);
            if (await machine.QueryStateAsync(stop).ConfigureAwait(false) == MachineState.Shutdown && machine.IsGone)
            {
                throw new MachineException("the domain does not run any more");
            }
            machine.Identity = new MachineIdentity(name, known.Uuid, machine._xml.Cid, LibvirtUri.ProcessOf(connection.Uri, known.Name) is int process ? VmmProcess.StartOf(process) : null, source);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Never waits: it is called by libvirt's thread.</summary>
    public void Tell(MachineEvent machineEvent) => _events.Writer.TryWrite(machineEvent);

    /// <param name="isGone">Its VMM has ended; otherwise only libvirt has.</param>
    public void EndEvents(bool isGone)
    {
        _isGone |= isGone;
        _hasEnded = true;
        _events.Writer.TryComplete();
    }

    public async Task<MachineState> QueryStateAsync(CancellationToken stop)
    {
        (int state, int reason) = await CallAsync(ReadState, stop).ConfigureAwait(false);
        MachineState known = LibvirtEvents.OfState(state, reason);
        if (LibvirtEvents.IsOff(state))
        {
            EndEvents(isGone: true);
            return known;
        }
        bool hasPanicked = known == MachineState.Panicked;
        if (_time.GetElapsedTime(_xmlRead) > XmlAge || (hasPanicked && !_hasPanicked))
        {
            await ReadXmlAsync(stop).ConfigureAwait(false);
        }
        _hasPanicked = hasPanicked;
        return known;
    }

    public Task<long> QueryMemoryBytesAsync(CancellationToken stop) => CallAsync(() => LibvirtLibrary.DomainGetMaxMemory(_domain) switch
    {
        0 => throw LibvirtLibrary.Failure("virDomainGetMaxMemory"),
        nuint size when size > long.MaxValue / BytesPerKiB / 4 => throw new MachineException($"libvirt says that it has {size} KiB of memory"),
        nuint size => (long)size * BytesPerKiB,
    }, stop);

    public async Task PauseAsync(CancellationToken stop)
    {
        if (await QueryStateAsync(stop).ConfigureAwait(false) == MachineState.Running)
        {
            await CallAsync("virDomainSuspend", () => LibvirtLibrary.DomainSuspend(_domain), stop).ConfigureAwait(false);
        }
    }

    public async Task ContinueAsync(CancellationToken stop)
    {
        // virDomainResume refuses what runs already, because of another client.
        if (await QueryStateAsync(stop).ConfigureAwait(false) != MachineState.Running)
        {
            await CallAsync("virDomainResume", () => LibvirtLibrary.DomainResume(_domain), stop).ConfigureAwait(false);
        }
    }

    public async Task ResetAsync(CancellationToken stop)
    {
        // A domain that stood is "paused (crashed)" after its reset.
        await CallAsync("virDomainReset", () => LibvirtLibrary.DomainReset(_domain, 0), stop).ConfigureAwait(false);
        await ContinueAsync(stop).ConfigureAwait(false);
    }

    /// <summary>
    /// libvirtd opens the path itself, as root, and hands QEMU the descriptor: whatever user QEMU runs as needs no way to the store. The file stays the one that was made for
    /// it, with its mode.
    /// </summary>
    public async Task<MemoryFormat> DumpAsync(Fd file, string path, IProgress<(long Done, long Total)> progress, CancellationToken stop)
    {
        long total = await QueryMemoryBytesAsync(stop).ConfigureAwait(false);
        Task dump = Task.Factory.StartNew(() => Dump(Path.GetFullPath(path)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        while (await Task.WhenAny(dump, Task.Delay(ProgressInterval, stop)).ConfigureAwait(false) != dump)
        {
            // libvirt cannot be told to give it up either; what it still writes goes into a file without a name.
            stop.ThrowIfCancellationRequested();
            LibvirtJobInfo job = ReadJob();
            progress.Report((job.MemTotal > 0 ? (long)Math.Min(job.MemProcessed, (ulong)total) : 0, total));
        }
        await dump.ConfigureAwait(false);
        progress.Report((total, total));
        return MemoryFiles.FormatOf(file) ?? throw new MachineException($"libvirt says that it wrote {path}, but has written another file: its daemon sees the store's folder at another place, or not at all");
    }

    public async Task<bool> ReadMemoryAsync(ulong address, Memory<byte> target, CancellationToken stop)
    {
        // QEMU's pmemsave, which this is, reads what is no RAM as zeros, or from a device: one of this guest's own, which it could have read itself.
        for (int done = 0; done < target.Length; done += MostPeekBytes)
        {
            Memory<byte> part = target.Slice(done, Math.Min(MostPeekBytes, target.Length - done));
            if (!await CallAsync(() => Peek(address + (ulong)done, part.Span), stop).ConfigureAwait(false))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>libvirt gives no registers and no VMCOREINFO of less than a whole dump.</summary>
    public Task<byte[]?> ReadNotesAsync(CancellationToken stop) => Task.FromResult<byte[]?>(null);

    /// <summary>Nothing was changed: what libvirt does when a guest panics is its owner's choice.</summary>
    public Task LeaveAsync(CancellationToken stop) => Task.CompletedTask;

    public ValueTask DisposeAsync()
    {
        _connection.Detach(_known.Uuid, this);
        EndEvents(isGone: false);
        _domain.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Whether libvirt is at work on the domain.</summary>
    public Task<bool> HasJobAsync(CancellationToken stop) => CallAsync(() => ReadJob().Type != LibvirtLibrary.VIR_DOMAIN_JOB_NONE, stop);

    private async Task ReadXmlAsync(CancellationToken stop)
    {
        _xml = DomainXml.Parse(await CallAsync(ReadXml, stop).ConfigureAwait(false));
        _xmlRead = _time.GetTimestamp();
        Checks = [.. _xml.Checks(_known.Argument)];
    }

    private unsafe string ReadXml()
    {
        byte* xml = LibvirtLibrary.DomainGetXmlDesc(_domain, 0);
        if (xml is null)
        {
            throw LibvirtLibrary.Failure("virDomainGetXMLDesc");
        }
        string text = LibvirtLibrary.Text(xml)!;
        NativeMemory.Free(xml);
        return text;
    }

    private unsafe (int State, int Reason) ReadState()
    {
        int state = 0;
        int reason = 0;
        if (LibvirtLibrary.DomainGetState(_domain, &state, &reason, 0) >= 0)
        {
            return (state, reason);
        }
        // A transient domain goes with its VMM.
        return LibvirtLibrary.GetLastErrorCode() == VIR_ERR_NO_DOMAIN ? LibvirtEvents.Off : throw LibvirtLibrary.Failure("virDomainGetState");
    }

    private unsafe LibvirtJobInfo ReadJob()
    {
        LibvirtJobInfo job;
        return LibvirtLibrary.DomainGetJobInfo(_domain, &job) >= 0 ? job : default;
    }

    private unsafe bool Peek(ulong address, Span<byte> target)
    {
        // The pointer is used only during the call, while the span is pinned.
        fixed (byte* bytes = target)
        {
            return LibvirtLibrary.DomainMemoryPeek(_domain, address, (nuint)target.Length, bytes, LibvirtLibrary.VIR_MEMORY_PHYSICAL) >= 0
                || (_hasEnded ? throw LibvirtLibrary.Failure("virDomainMemoryPeek") : false);
        }
    }

    /// <summary>As by QMP: kdump-compressed that every tool reads where libvirt and QEMU offer it, otherwise ELF.</summary>
    private void Dump(string path)
    {
        if (!TryDump(path, LibvirtLibrary.VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_RAW_ZLIB) && (!IsUnknownFormat(LibvirtLibrary.GetLastErrorCode()) || !TryDump(path, LibvirtLibrary.VIR_DOMAIN_CORE_DUMP_FORMAT_RAW)))
        {
            throw LibvirtLibrary.Failure("virDomainCoreDumpWithFormat");
        }
    }

    private bool TryDump(string path, uint format) => LibvirtLibrary.DomainCoreDumpWithFormat(_domain, path, format, LibvirtLibrary.VIR_DUMP_MEMORY_ONLY) >= 0;

    private static bool IsUnknownFormat(int error) =>
        error is VIR_ERR_NO_SUPPORT or VIR_ERR_INVALID_ARG or VIR_ERR_CONFIG_UNSUPPORTED or VIR_ERR_ARGUMENT_UNSUPPORTED or VIR_ERR_OPERATION_UNSUPPORTED;

    private static Task<bool> CallAsync(string call, Func<int> function, CancellationToken stop) => CallAsync(() => function() >= 0 ? true : throw LibvirtLibrary.Failure(call), stop);

    private static Task<T> CallAsync<T>(Func<T> function, CancellationToken stop) => Task.Run(function, stop).WaitAsync(stop);
}
