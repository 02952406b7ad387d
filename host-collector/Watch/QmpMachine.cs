using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading.Channels;
using VsockPair.Linux;
using VsockPair.Listening;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Watch;

/// <summary>A machine of QEMU's, by a QMP socket of our own: QEMU serves one client of a socket.</summary>
internal sealed class QmpMachine : IMachine
{
    /// <summary>Whoever does not read them stops the reading of everything else.</summary>
    private const int PendingEvents = 1024;

    /// <summary>Name under which QEMU keeps a descriptor of ours until the command that uses it; a second one replaces the first.</summary>
    private const string DescriptorName = "vsockpair";

    private const string RawKdump = "kdump-raw-zlib";
    private const string Elf = "elf";
    private const int MostNotesBytes = 4 << 20;

    // elf.h
    private const uint PT_LOAD = 1;
    private const uint PT_NOTE = 4;

    /// <summary>Where RAM begins on x86, and on the <c>virt</c> machines of arm64 and riscv64.</summary>
    private static readonly ulong[] RamStarts = [0, 0x4000_0000, 0x8000_0000];

    private static readonly TimeSpan DumpPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromMilliseconds(50);

    private readonly Channel<MachineEvent> _events = Channel.CreateBounded<MachineEvent>(new BoundedChannelOptions(PendingEvents) { SingleWriter = true });
    private readonly TimeProvider _time;
    private readonly string _path;
    private QmpClient _client = null!;
    private string? _formerAction;
    private volatile string? _dumpError;

    private QmpMachine(string path, TimeProvider time)
    {
        _path = path;
        _time = time;
    }

    public MachineIdentity Identity { get; private set; } = null!;

    public IReadOnlyList<CheckRecord> Checks { get; private set; } = [];

    public ChannelReader<MachineEvent> Events => _events.Reader;

    /// <summary>Nobody else holds the socket of a QEMU that runs.</summary>
    public bool IsGone => true;

    public IManagedPanic? ManagedPanic => null;

    /// <exception cref="MachineException">It cannot be reached, or does not answer as QEMU does.</exception>
    public static async Task<QmpMachine> ConnectAsync(string name, string path, TimeProvider time, CancellationToken stop)
    {
        QmpMachine machine = new(path, time);
        machine._client = await QmpClient.ConnectAsync(path, machine.TakeAsync, stop).ConfigureAwait(false);
        _ = machine._client.Ended.ContinueWith(_ => machine._events.Writer.TryComplete(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        try
        {
            await machine.BeginAsync(name, stop).ConfigureAwait(false);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async Task<MachineState> QueryStateAsync(CancellationToken stop) =>
        (await AskAsync(QmpCommand.QueryStatus, QmpJson.Default.QmpStatus, stop).ConfigureAwait(false)).Status switch
        {
            "running" => MachineState.Running,
            "paused" or "prelaunch" => MachineState.Paused,
            "guest-panicked" => MachineState.Panicked,
            "shutdown" => MachineState.Shutdown,
            _ => MachineState.Other,
        };

    public async Task<long> QueryMemoryBytesAsync(CancellationToken stop)
    {
        QmpMemorySize size = await AskAsync(QmpCommand.QueryMemorySize, QmpJson.Default.QmpMemorySize, stop).ConfigureAwait(false);
        long plugged = size.PluggedMemory ?? 0;
        return size.BaseMemory > 0 && plugged >= 0 && size.BaseMemory <= long.MaxValue / 4 - plugged
            ? size.BaseMemory + plugged
            : throw new MachineException($"{_path}: QEMU says that it has {size.BaseMemory} and {plugged} bytes of memory");
    }

    public async Task PauseAsync(CancellationToken stop)
    {
        // `stop` would take the mark of a panic off a machine that stands already.
        if (await QueryStateAsync(stop).ConfigureAwait(false) == MachineState.Running)
        {
            await _client.ExecuteAsync(QmpCommand.Stop, stop).ConfigureAwait(false);
        }
    }

    public Task ContinueAsync(CancellationToken stop) => _client.ExecuteAsync(QmpCommand.Continue, stop);

    public async Task ResetAsync(CancellationToken stop)
    {
        // A machine that stood comes out of its reset as one that was not started yet.
        await _client.ExecuteAsync(QmpCommand.Reset, stop).ConfigureAwait(false);
        if (await QueryStateAsync(stop).ConfigureAwait(false) != MachineState.Running)
        {
            await ContinueAsync(stop).ConfigureAwait(false);
        }
    }

    public async Task<MemoryFormat> DumpAsync(Fd file, string path, IProgress<(long Done, long Total)> progress, CancellationToken stop)
    {
        QmpDumpCapability capability = await AskAsync(QmpCommand.QueryDumpCapability, QmpJson.Default.QmpDumpCapability, stop).ConfigureAwait(false);
        // A dump that another client, or a watch that was killed, has begun.
        while ((await QueryDumpAsync(stop).ConfigureAwait(false)).Status == "active")
        {
            await Task.Delay(ProgressInterval, stop).ConfigureAwait(false);
        }
        bool raw = capability.Formats.Contains(RawKdump);
        _dumpError = null;
        await StartDumpAsync(file, json =>
        {
            json.WriteBoolean("detach"u8, true);
            json.WriteString("format"u8, raw ? RawKdump : Elf);
        }, stop).ConfigureAwait(false);
        while (true)
        {
            QmpDump dump = await QueryDumpAsync(stop).ConfigureAwait(false);
            switch (dump.Status)
            {
                case "completed":
                    progress.Report((dump.Total, dump.Total));
                    return raw ? MemoryFormat.Kdump : MemoryFormat.Elf;
                case "active":
                    progress.Report((dump.Completed, dump.Total));
                    await Task.Delay(ProgressInterval, stop).ConfigureAwait(false);
                    break;
                default:
                    throw new MachineException($"dump-guest-memory: {await DumpErrorAsync(stop).ConfigureAwait(false)}");
            }
        }
    }

    public async Task<bool> ReadMemoryAsync(ulong address, Memory<byte> target, CancellationToken stop)
    {
        using Fd? core = await TryReadCoreAsync(address, target.Length, stop).ConfigureAwait(false);
        return core is not null && TryReadEntry(core, 1, PT_LOAD) is { } first && first.Address == address && TryRead(core, first.Offset, target.Span);
    }

    public async Task<byte[]?> ReadNotesAsync(CancellationToken stop)
    {
        const int PageBytes = 4096;
        foreach (ulong start in RamStarts)
        {
            using Fd? core = await TryReadCoreAsync(start, PageBytes, stop).ConfigureAwait(false);
            if (core is not null)
            {
                return ReadNotes(core);
            }
        }
        return null;
    }

    public async Task LeaveAsync(CancellationToken stop)
    {
        if (_formerAction is not (null or QmpPanicAction.Pause))
        {
            await QmpPanicAction.SetAsync(_client, _formerAction, stop).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync().ConfigureAwait(false);
        _events.Writer.TryComplete();
    }

    private async Task BeginAsync(string name, CancellationToken stop)
    {
        CheckRecord pause;
        try
        {
            // First of all: what panics from here on is held.
            string former = QmpPanicAction.Former(_client.PeerProcess);
            await QmpPanicAction.SetAsync(_client, QmpPanicAction.Pause, stop).ConfigureAwait(false);
            _formerAction = former;
            pause = new CheckRecord(HostChecks.PanicAction, true, "QEMU pauses the guest when it panics", "");
        }
        catch (MachineException e)
        {
            pause = new CheckRecord(HostChecks.PanicAction, false, $"QEMU cannot be told to pause a guest that panics ({e.Message}): its memory is lost then", "QEMU 6.0 or newer, or start it with -no-shutdown");
        }
        Guid uuid = (await AskAsync(QmpCommand.QueryUuid, QmpJson.Default.QmpUuid, stop).ConfigureAwait(false)).Uuid;
        QmpDevices devices = await ParsedAsync(() => QmpDevices.ReadAsync(_client, stop)).ConfigureAwait(false);
        Identity = new MachineIdentity(name, uuid == Guid.Empty ? null : uuid, devices.Cid, VmmProcess.StartOf(_client.PeerProcess), $"qmp:{_path}");
        Checks = [pause, .. devices.Checks()];
    }

    private Task<QmpDump> QueryDumpAsync(CancellationToken stop) => AskAsync(QmpCommand.QueryDump, QmpJson.Default.QmpDump, stop);

    /// <summary>QEMU tells the reason of a failed dump in the event alone, which may be on its way.</summary>
    private async Task<string> DumpErrorAsync(CancellationToken stop)
    {
        for (int i = 0; i < 20 && _dumpError is null; i++)
        {
            await Task.Delay(ProgressInterval, stop).ConfigureAwait(false);
        }
        return TerminalText.EscapeShort(_dumpError ?? "QEMU says that it failed, and not why");
    }

    private async Task StartDumpAsync(Fd file, Action<Utf8JsonWriter> more, CancellationToken stop)
    {
        await _client.ExecuteAsync(QmpCommand.GetFd, json => json.WriteString("fdname"u8, DescriptorName), file, DumpPatience, stop).ConfigureAwait(false);
        await _client.ExecuteAsync(QmpCommand.Dump, json =>
        {
            json.WriteBoolean("paging"u8, false);
            json.WriteString("protocol"u8, $"fd:{DescriptorName}");
            more(json);
        }, null, DumpPatience, stop).ConfigureAwait(false);
    }

    /// <summary>An ELF core of that stretch alone, in memory; null when not all of it is RAM.</summary>
    private async Task<Fd?> TryReadCoreAsync(ulong address, int bytes, CancellationToken stop)
    {
        if (address > long.MaxValue - (ulong)bytes)
        {
            return null;
        }
        Fd core = Fd.Own(Sys.MemoryFile(DescriptorName), "memfd_create", DescriptorName);
        try
        {
            await StartDumpAsync(core, json =>
            {
                json.WriteNumber("begin"u8, address);
                json.WriteNumber("length"u8, bytes);
            }, stop).ConfigureAwait(false);
            QmpDump dump = await QueryDumpAsync(stop).ConfigureAwait(false);
            if (dump.Status == "completed" && dump.Total == bytes)
            {
                return core;
            }
        }
        catch (MachineException) when (!_client.Ended.IsCompleted)
        {
            // "no guest memory to dump".
        }
        catch
        {
            core.Dispose();
            throw;
        }
        core.Dispose();
        return null;
    }

    private static byte[]? ReadNotes(Fd core)
    {
        if (TryReadEntry(core, 0, PT_NOTE) is not { Bytes: > 0 and <= MostNotesBytes } entry || entry.Bytes > LengthOf(core))
        {
            return null;
        }
        byte[] notes = new byte[entry.Bytes];
        return TryRead(core, entry.Offset, notes) ? notes : null;
    }

    /// <summary>A program header of an ELF core as QEMU writes it: the notes', then one for each stretch of RAM, whose contents follow each other; behind them a table of names.</summary>
    /// <returns>Null when it is not of that type.</returns>
    private static (long Offset, ulong Address, long Bytes)? TryReadEntry(Fd core, int index, uint type)
    {
        const int HeaderBytes = 64;
        const int EntryBytes = 56;
        byte[] header = new byte[HeaderBytes];
        if (!TryRead(core, 0, header))
        {
            return null;
        }
        long table = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32));
        Span<byte> entry = header.AsSpan(0, EntryBytes);
        return TryRead(core, table + index * EntryBytes, entry) && BinaryPrimitives.ReadUInt32LittleEndian(entry) == type
            ? (BinaryPrimitives.ReadInt64LittleEndian(entry[8..]), BinaryPrimitives.ReadUInt64LittleEndian(entry[24..]), BinaryPrimitives.ReadInt64LittleEndian(entry[32..]))
            : null;
    }

    private static long LengthOf(Fd file)
    {
        LinuxException.Check(Sys.Status(file.Value, out long bytes, out _), "fstat", DescriptorName);
        return bytes;
    }

    private static unsafe bool TryRead(Fd file, long offset, Span<byte> target)
    {
        if (offset < 0)
        {
            return false;
        }
        // The pointer is used only during the calls, while the span is pinned.
        fixed (byte* bytes = target)
        {
            for (int read = 0; read < target.Length;)
            {
                int n = Sys.PRead(file.Value, bytes + read, target.Length - read, offset + read);
                if (n <= 0)
                {
                    return false;
                }
                read += n;
            }
        }
        return true;
    }

    private Task<T> AskAsync<T>(QmpCommand command, JsonTypeInfo<T> type, CancellationToken stop) where T : class => ParsedAsync(async () =>
    {
        byte[] answer = await _client.ExecuteAsync(command, stop).ConfigureAwait(false);
        return JsonSerializer.Deserialize(answer, type) ?? throw new JsonException();
    });

    private async Task<T> ParsedAsync<T>(Func<Task<T>> ask)
    {
        try
        {
            return await ask().ConfigureAwait(false);
        }
        catch (JsonException e)
        {
            throw new MachineException($"{_path}: an answer is not as QEMU gives it", e);
        }
    }

    private ValueTask TakeAsync(QmpMessage message, CancellationToken stop)
    {
        if (QmpEvents.TryReadDumpError(message, out string? error))
        {
            _dumpError = error;
        }
        return QmpEvents.TryMap(message, _time.GetUtcNow(), out MachineEvent known) ? _events.Writer.WriteAsync(known, stop) : ValueTask.CompletedTask;
    }
}
