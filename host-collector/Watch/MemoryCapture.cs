using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VsockPair.Cases;
using VsockPair.Linux;
using VsockPair.Memory;
using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Watch;

/// <summary>Takes a guest's memory into its case, by policy and within what disk, brake and pause allow. Always ends, and says why there is less than was asked for.</summary>
internal sealed class MemoryCapture(CollectorOptions options, DumpBrake brake, PauseEstimate pauses, CaseChild child, ILogger<MemoryCapture> log) : IDisposable
{
    private const double SpaceFactor = 1.05;
    private const uint OwnerOnly = 0x180; // 0600
    private const int MostAttempts = 2;

    /// <summary>What a dump may take beyond what it should, before it is given up.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    /// <summary>How long a guest whose policy is <c>full</c> waits for another one's dump.</summary>
    private static readonly TimeSpan LongWait = TimeSpan.FromSeconds(60);

    /// <summary>The store is on one disk, which dumps would fight for.</summary>
    private readonly SemaphoreSlim _disk = new(1);

    /// <param name="asked">By an operator, who was told how long it takes: all of it, and no brake.</param>
    /// <returns>Without the time of the pause, which ends later.</returns>
    public async Task<CaseMemory> TakeAsync(IMachine machine, CaseFolder file, MemoryPolicy policy, bool asked, IProgress<(long Done, long Total)> progress, CancellationToken stop)
    {
        string name = policy.ToString().ToLowerInvariant();
        (string taken, string? format, string? reason) = (MemoryTaken.None, null, null);
        try
        {
            reason = policy == MemoryPolicy.None ? null : WhyNot(file, asked);
            if (policy != MemoryPolicy.None && reason is null)
            {
                file.Update(e => e with { Attempts = e.Attempts + 1 });
                (taken, format, reason) = await TakeAsync(machine, file, policy, progress, stop).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is MachineException or IOException or UnauthorizedAccessException)
        {
            reason = e.Message;
            RemovePartial(file);
        }
        catch (OperationCanceledException)
        {
            reason = "watch was stopped while it was taken";
            RemovePartial(file);
        }
        if (reason is not null)
        {
            log.MemoryNotTaken(file.Id, taken, reason);
        }
        return new CaseMemory(name, taken, format, reason, 0);
    }

    /// <summary>The dump that a machine's manager has taken: moved, for it would stay there for ever. Neither policy nor brake are asked, for it is there already.</summary>
    public async Task<CaseMemory> AdoptAsync(ManagedOutcome outcome, CaseFolder file, MemoryPolicy policy, CancellationToken stop)
    {
        string name = policy.ToString().ToLowerInvariant();
        if (outcome.Dump is null)
        {
            return new CaseMemory(name, MemoryTaken.None, null, outcome.Reason, 0);
        }
        try
        {
            file.Update(e => e with { Attempts = e.Attempts + 1 });
            return new CaseMemory(name, MemoryTaken.Full, CaseFormats.Of(await AdoptedDump.TakeAsync(outcome.Dump, file, options, Publish, stop).ConfigureAwait(false)), null, 0);
        }
        catch (Exception e) when (e is MachineException or IOException or UnauthorizedAccessException)
        {
            log.MemoryNotTaken(file.Id, MemoryTaken.None, $"{outcome.Dump}: {e.Message}");
            return new CaseMemory(name, MemoryTaken.None, null, $"libvirt's dump {outcome.Dump} is not in this case: {e.Message}", 0);
        }
    }

    private string? WhyNot(CaseFolder file, bool asked) =>
        file.Event.Attempts >= MostAttempts ? $"watch has died {file.Event.Attempts} times while it was taken"
        : asked ? null
        : brake.Refuses(file);

    private async Task<(string Taken, string? Format, string? Reason)> TakeAsync(
        IMachine machine, CaseFolder file, MemoryPolicy policy, IProgress<(long Done, long Total)> progress, CancellationToken stop)
    {
        string? less = policy == MemoryPolicy.Mini ? "" : null;
        TimeSpan expected = default;
        if (less is null)
        {
            long bytes = await machine.QueryMemoryBytesAsync(stop).ConfigureAwait(false);
            expected = pauses.Of(bytes);
            less = policy == MemoryPolicy.Auto && expected > options.Watch.MaxPause
                ? $"all of its {Units.Bytes(bytes)} would take about {Units.Duration(expected)}, and MaxPause is {Units.Duration(options.Watch.MaxPause)}"
                : WhyNoRoom(options, bytes);
        }
        if (less is null)
        {
            TimeSpan wait = policy == MemoryPolicy.Auto ? options.Watch.MaxPause : LongWait;
            if (await _disk.WaitAsync(wait, stop).ConfigureAwait(false))
            {
                try
                {
                    TimeSpan limit = (policy == MemoryPolicy.Auto ? options.Watch.MaxPause : 4 * expected) + Grace;
                    return (MemoryTaken.Full, await DumpAsync(machine, file, limit, progress, stop).ConfigureAwait(false), null);
                }
                finally
                {
                    _disk.Release();
                }
            }
            less = $"another guest's memory was being written for {Units.Duration(wait)}";
        }
        try
        {
            string? cut = await TakeMiniAsync(machine, file, stop).ConfigureAwait(false);
            return (MemoryTaken.Mini, CaseFormats.Elf, Both(less, cut));
        }
        catch (Exception e) when (e is MachineException or IOException)
        {
            throw new MachineException(Both(less, e.Message)!, e);
        }
    }

    private static string? Both(string less, string? cut) => less.Length == 0 ? cut : cut is null ? less : $"{less}; {cut}";

    /// <returns>Why it is less than its reader wanted; null when it is not.</returns>
    private async Task<string?> TakeMiniAsync(IMachine machine, CaseFolder file, CancellationToken stop)
    {
        using Fd target = CreatePartial(file);
        await using FileStream stream = new(new SafeFileHandle(target.Value, ownsHandle: false), FileAccess.ReadWrite);
        ProcessStartInfo reader = child.Start(["read-memory", file.Event.Guest, "--store", options.StoreDirectory]);
        MemoryReading reading = await MiniDump.TakeAsync(machine, reader, stream, stop).ConfigureAwait(false);
        if (reading.Bytes == 0)
        {
            throw new MachineException(reading.Reason ?? "nothing of its memory could be read");
        }
        Publish(target, file);
        return reading.Reason;
    }

    private async Task<string> DumpAsync(IMachine machine, CaseFolder file, TimeSpan limit, IProgress<(long Done, long Total)> progress, CancellationToken stop)
    {
        long start = Stopwatch.GetTimestamp();
        using Fd target = CreatePartial(file);
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(stop);
        deadline.CancelAfter(limit);
        long total = 0;
        MemoryFormat format;
        try
        {
            Progress both = new(report =>
            {
                total = report.Total;
                progress.Report(report);
            });
            format = await machine.DumpAsync(target, file.PartialVmcore, both, deadline.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // QEMU cannot be told to give it up; what it still writes goes into a file without a name.
            throw new MachineException($"the dump had not ended after {Units.Duration(limit)}");
        }
        pauses.Learn(total, Stopwatch.GetElapsedTime(start));
        Publish(target, file);
        return CaseFormats.Of(format);
    }

    /// <summary>Whoever holds the descriptor, QEMU as well, holds the lock: a part that can be locked is nobody's any more.</summary>
    internal static Fd CreatePartial(CaseFolder file)
    {
        RemovePartial(file);
        Fd target = Fd.Own(
            Sys.Open(file.PartialVmcore, Constants.O_RDWR | Constants.O_CREAT | Constants.O_EXCL | Constants.O_NOFOLLOW, OwnerOnly), "open", file.PartialVmcore);
        Sys.TryLock(target.Value);
        return target;
    }

    /// <summary>On the disk first, then under its name, for the process that parses it to read.</summary>
    private void Publish(Fd target, CaseFolder file)
    {
        LinuxException.Check(Sys.Fsync(target.Value), "fsync", file.PartialVmcore);
        // QEMU closes its descriptor a moment after it has said that it is through, and readers mind the lock.
        LinuxException.Check(Sys.Unlock(target.Value), "flock", file.PartialVmcore);
        child.GiveToRead(file.PartialVmcore);
        LinuxException.Check(Sys.Rename(file.PartialVmcore, file.Vmcore), "rename", file.Vmcore);
        DurableFile.SyncFolder(file.Folder);
    }

    /// <returns>Null when the store's disk has room for so much memory.</returns>
    /// <exception cref="LinuxException">The disk does not say.</exception>
    public static string? WhyNoRoom(CollectorOptions options, long bytes)
    {
        DiskSpace.Read(options.StoreDirectory, out long total, out long free);
        double needed = bytes * SpaceFactor;
        double left = free - total * options.Store.KeepFree;
        return needed <= left ? null
            : $"all of its memory may take {Units.Bytes(needed)}, and the store's disk has {Units.Bytes(Math.Max(0, left))} more than KeepFree ({options.Store.KeepFree:P0})";
    }

    private static void RemovePartial(CaseFolder file)
    {
        try
        {
            File.Delete(file.PartialVmcore);
        }
        catch (DirectoryNotFoundException)
        {
            // Somebody has removed the case.
        }
    }

    public void Dispose() => _disk.Dispose();

    /// <summary>In the caller's own thread, unlike Progress&lt;T&gt;: in order, and nothing comes late.</summary>
    internal sealed class Progress(Action<(long Done, long Total)> report) : IProgress<(long Done, long Total)>
    {
        public void Report((long Done, long Total) value) => report(value);
    }
}
