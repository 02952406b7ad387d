using System.Diagnostics;
using Microsoft.Extensions.Logging;
using VsockPair.Cases;
using VsockPair.Options;

namespace VsockPair.Watch;

/// <summary>
/// What is done with one machine when its guest crashes: the case at once, the memory by policy, then the machine goes on. For the task that watches this machine.
/// What is left to do can always be seen in the machine's state and in event.json, so nothing is lost with this process but time. Whatever fails, a guest that panicked
/// is not held for it.
/// </summary>
internal sealed class CaseKeeper(string guest, CollectorOptions options, CaseFolders cases, DumpBrake brake, MemoryCapture capture, BootFinder boots, EventFeed feed, CaseChild child, ILogger log)
{
    /// <summary>Further events of a boot that has crashed already belong to that crash, for so long.</summary>
    private static readonly TimeSpan RepeatWindow = TimeSpan.FromSeconds(60);

    /// <summary>How long a memory that is being written may delay a stop of this service.</summary>
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan ActAgain = TimeSpan.FromMilliseconds(500);

    private static readonly TimeSpan ActPatience = TimeSpan.FromSeconds(10);

    private readonly MemoryPolicy _memory = options.Guests.FirstOrDefault(g => g.Name == guest)?.Memory ?? options.Watch.Memory;
    private readonly CrashAction _action = options.Guests.FirstOrDefault(g => g.Name == guest)?.Action ?? options.Watch.Action;

    /// <summary>The crash that further events of this boot belong to.</summary>
    private CaseFolder? _current;

    /// <summary>A case whose machine has not been seen to.</summary>
    private CaseFolder? _pending;

    /// <summary>The panic that the machine stands at is in a case, or could not be written into one.</summary>
    private bool _isAccounted;

    /// <summary>Start of the machine, or of its guest's present boot.</summary>
    private DateTimeOffset? _began;

    public DateTimeOffset? Began => _began;

    /// <summary>After connecting: goes on where a watch that died has stopped.</summary>
    public async Task AdoptAsync(IMachine machine, CancellationToken stop)
    {
        _began = machine.Identity.Started > _began || _began is null ? machine.Identity.Started : _began;
        MachineState state = await machine.QueryStateAsync(stop).ConfigureAwait(false);
        foreach (CaseFolder left in cases.Of(guest).Where(c => c.Event is { Released: null, Announced: null } && IsHolding(c.Event) && !c.IsInHand).Reverse().ToList())
        {
            bool isIt = state == MachineState.Panicked && _current is null && left.Event.Kind == CaseKinds.Panic;
            if (isIt)
            {
                log.CaseAdopted(left.Id);
                _current = left;
                _isAccounted = true;
                left.IsInHand = true;
                _pending = left.Event.Action == Name(CrashAction.Stop) ? null : left;
                continue;
            }
            // Its machine goes on already, or is another one.
            CaseMemory? memory = left.Event.Memory ?? (left.Event.Kind == CaseKinds.Panic && machine.ManagedPanic is IManagedPanic manager
                ? await capture.AdoptAsync(await manager.WaitAsync(left.Event.Time, stop).ConfigureAwait(false), left, _memory, stop).ConfigureAwait(false)
                : NoMemory(_memory, "watch was not running, and its machine had gone on when it came back"));
            Update(left, e => e with
            {
                Memory = memory,
                Released = e.Action is not null && e.Action != Name(CrashAction.Stop) ? cases.Now : null,
            });
        }
    }

    /// <summary>Takes what the machine has told, in order.</summary>
    public void Take(EventRun run, IMachine machine)
    {
        switch (run.Kind)
        {
            case MachineEventKind.Panicked:
                Note(CaseKinds.Panic, run, machine.Identity);
                _isAccounted = true;
                break;
            case MachineEventKind.CrashLoaded:
                // The guest's own crash kernel is at work and will write what it wants: it is never stopped.
                Note(CaseKinds.Kdump, run, machine.Identity);
                break;
            case MachineEventKind.Reset:
                if (machine.ManagedPanic is null)
                {
                    GiveUp("the guest had been reset before its memory could be read");
                }
                Forget();
                _began = run.First;
                break;
        }
    }

    /// <summary>Does what there is to do for the machine as it is now.</summary>
    public async Task LookAsync(IMachine machine, MachineState state, CancellationToken stop)
    {
        if (state == MachineState.Panicked && !_isAccounted)
        {
            // Nobody was connected when it told.
            Note(CaseKinds.Panic, new EventRun(MachineEventKind.Panicked, 1, cases.Now, null), machine.Identity);
            _isAccounted = true;
        }
        if (_pending is not null)
        {
            await SeeToAsync(machine, _pending, stop).ConfigureAwait(false);
        }
        else if (state == MachineState.Panicked && _action != CrashAction.Stop && machine.ManagedPanic is null)
        {
            await ActAsync(machine, stop).ConfigureAwait(false);
            _isAccounted = false;
        }
        else if (state != MachineState.Panicked)
        {
            _isAccounted = false;
        }
    }

    /// <summary>A guest that runs and says nothing any more (<c>HangAfter</c>).</summary>
    public Task SeeToHangAsync(IMachine machine, string detail, CancellationToken stop)
    {
        Note(CaseKinds.Hang, new EventRun(MachineEventKind.Watchdog, 1, cases.Now, detail), machine.Identity);
        return _pending is null ? Task.CompletedTask : SeeToAsync(machine, _pending, stop);
    }

    /// <summary>The memory of a guest that runs, for an operator.</summary>
    /// <exception cref="MachineException">Not now.</exception>
    public async Task<CaseFolder> DumpAsync(IMachine machine, IProgress<(long Done, long Total)> progress, CancellationToken stop)
    {
        MachineState state = await machine.QueryStateAsync(stop).ConfigureAwait(false);
        if (state is not (MachineState.Running or MachineState.Paused))
        {
            throw new MachineException($"{guest} neither runs nor is it paused; {(state == MachineState.Panicked ? "its panic has a case of its own" : "there is nothing to be taken of it")}");
        }
        CaseFolder file = cases.Create(Begin(CaseKinds.Dump, cases.Now, null, machine.Identity));
        child.GiveFolder(file.Folder);
        feed.Publish(WatchEvent.OfCase(WatchEvent.CaseOpened, file, cases.Now));
        long start = Stopwatch.GetTimestamp();
        CaseMemory memory = await capture.TakeAsync(machine, file, MemoryPolicy.Full, asked: true, progress, stop).ConfigureAwait(false);
        // QEMU stops a guest that runs for its dump, and lets it run again, by itself.
        Settle(file, memory with { PausedSeconds = state == MachineState.Running ? Stopwatch.GetElapsedTime(start).TotalSeconds : 0 }, null, null);
        file.IsInHand = false;
        return file;
    }

    /// <summary>What was counted is written; now and then, and before anything ends.</summary>
    public void Save()
    {
        try
        {
            _current?.SaveRepeats();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.CaseNotWritten(guest, e.Message);
        }
    }

    /// <summary>The machine has ended: what its manager has taken of it is there, and can be seen to.</summary>
    public async Task EndAsync(IMachine machine, CancellationToken stop)
    {
        if (_pending is not null && machine.ManagedPanic is not null)
        {
            await SeeToAsync(machine, _pending, stop).ConfigureAwait(false);
        }
    }

    /// <summary>The connection has ended. A case whose memory was not seen to is gone on with when it comes back, or <see cref="CaseCloser"/> closes it.</summary>
    public void Leave()
    {
        if (_pending is not null)
        {
            _pending.IsInHand = false;
            _pending = null;
        }
        Forget();
    }

    private void Forget()
    {
        Save();
        if (_current is not null)
        {
            _current.IsInHand = false;
        }
        _current = null;
        _isAccounted = false;
    }

    /// <summary>Opens a case, or counts the event in the one that it belongs to.</summary>
    private void Note(string kind, EventRun run, MachineIdentity machine)
    {
        if (_current is not null && _current.Event.Kind == kind && (cases.Now - _current.Event.Time).Duration() < RepeatWindow)
        {
            _current.AddRepeats(run.Count);
            return;
        }
        Forget();
        try
        {
            if (brake.LastOfTooMany(guest) is CaseFolder last)
            {
                _current = last;
                last.AddRepeats(run.Count);
                log.TooManyCases(guest, DumpBrake.CasesPerDay, last.Id);
                return;
            }
            _current = cases.Create(Begin(kind, run.First, run.Detail, machine) with { Repeats = run.Count - 1 });
            child.GiveFolder(_current.Folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.CaseNotWritten(guest, e.Message);
            return;
        }
        log.CaseOpened(_current.Id, kind);
        feed.Publish(WatchEvent.OfCase(WatchEvent.CaseOpened, _current, cases.Now));
        if (kind == CaseKinds.Kdump)
        {
            Settle(_current, NoMemory(_memory, "the guest's own kdump is at work, and is left alone"), null, null);
            _current.IsInHand = false;
        }
        else
        {
            _pending = _current;
        }
    }

    private CaseEvent Begin(string kind, DateTimeOffset time, string? detail, MachineIdentity machine) => new()
    {
        Id = "",
        Guest = guest,
        Uuid = machine.Uuid,
        Kind = kind,
        Time = time,
        Source = machine.Source,
        Detail = detail,
        Boot = boots.Running(guest, _began)?.Name,
    };

    private async Task SeeToAsync(IMachine machine, CaseFolder file, CancellationToken stop)
    {
        if (file.Event.Kind == CaseKinds.Panic && machine.ManagedPanic is IManagedPanic manager && await SeeToManagedAsync(manager, file, stop).ConfigureAwait(false))
        {
            return;
        }
        using CancellationTokenSource late = new();
        await using CancellationTokenRegistration stopping = stop.Register(() => late.CancelAfter(StopPatience));
        MachineState state = MachineState.Other;
        CaseMemory? memory = file.Event.Memory;
        try
        {
            state = await machine.QueryStateAsync(late.Token).ConfigureAwait(false);
            if (state == MachineState.Running)
            {
                await machine.PauseAsync(late.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is MachineException or OperationCanceledException)
        {
            memory ??= NoMemory(_memory, e.Message);
        }
        memory ??= await capture.TakeAsync(machine, file, _memory, asked: false, NoProgress, late.Token).ConfigureAwait(false);
        if (machine.Events.Completion.IsCompleted && memory.Taken == MemoryTaken.None)
        {
            if (machine.ManagedPanic is IManagedPanic ended && await SeeToManagedAsync(ended, file, stop).ConfigureAwait(false))
            {
                return;
            }
            Leave();
            return;
        }
        // A machine that was shut down has nothing to go on with; everything else stands because of the crash.
        CrashAction? action = state == MachineState.Shutdown && _action == CrashAction.Continue ? null : _action;
        Settle(file, memory, action is CrashAction meant ? Name(meant) : null, null);
        feed.Publish(WatchEvent.OfCase(WatchEvent.CaseMemory, file, cases.Now));
        _pending = null;
        if (action is null or CrashAction.Stop)
        {
            return;
        }
        if (await ActAsync(machine, stop).ConfigureAwait(false))
        {
            DateTimeOffset released = cases.Now;
            double held = Math.Max(0, (released - file.Event.Time).TotalSeconds);
            Settle(file, memory with { PausedSeconds = held }, file.Event.Action, released);
            log.CaseReleased(file.Id, memory.Taken, held);
            feed.Publish(WatchEvent.OfCase(WatchEvent.CaseReleased, file, released));
        }
        file.IsInHand = false;
        _isAccounted = false;
    }

    /// <summary>Takes what the machine's manager has left of the crash.</summary>
    /// <returns>False when the manager has given up, and the machine is ours after all.</returns>
    private async Task<bool> SeeToManagedAsync(IManagedPanic manager, CaseFolder file, CancellationToken stop)
    {
        ManagedOutcome outcome = await manager.WaitAsync(file.Event.Time, stop).ConfigureAwait(false);
        if (outcome.StillStands)
        {
            return false;
        }
        Settle(file, await capture.AdoptAsync(outcome, file, _memory, stop).ConfigureAwait(false), null, null);
        feed.Publish(WatchEvent.OfCase(WatchEvent.CaseMemory, file, cases.Now));
        file.IsInHand = false;
        _pending = null;
        return true;
    }

    /// <summary>Continues or resets, until the machine does: QEMU refuses while a dump is on its way.</summary>
    /// <returns>False when the machine is gone, or this service has to end.</returns>
    private async Task<bool> ActAsync(IMachine machine, CancellationToken stop)
    {
        using CancellationTokenSource late = new();
        await using CancellationTokenRegistration stopping = stop.Register(() => late.CancelAfter(ActPatience));
        string? said = null;
        while (!machine.Events.Completion.IsCompleted)
        {
            try
            {
                await (_action == CrashAction.Reset ? machine.ResetAsync(late.Token) : machine.ContinueAsync(late.Token)).ConfigureAwait(false);
                return true;
            }
            catch (MachineException e)
            {
                if (said != e.Message)
                {
                    said = e.Message;
                    log.NotReleased(guest, e.Message);
                }
            }
            catch (OperationCanceledException)
            {
                return false;
            }
            try
            {
                await Task.Delay(ActAgain, late.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }
        return false;
    }

    private void GiveUp(string reason)
    {
        if (_pending is not null)
        {
            Settle(_pending, _pending.Event.Memory ?? NoMemory(_memory, reason), null, null);
            _pending.IsInHand = false;
            _pending = null;
        }
    }

    private void Settle(CaseFolder file, CaseMemory memory, string? action, DateTimeOffset? released) =>
        Update(file, e => e with { Memory = memory, Action = action, Released = released });

    /// <summary>A disk that does not take it does not hold the guest.</summary>
    private void Update(CaseFolder file, Func<CaseEvent, CaseEvent> change)
    {
        try
        {
            file.Update(change);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.CaseNotWritten(guest, e.Message);
        }
    }

    /// <summary>Whether its machine may still stand because of it.</summary>
    private static bool IsHolding(CaseEvent e) => e.Kind is CaseKinds.Panic or CaseKinds.Hang or CaseKinds.Dump && (e.Memory is null || e.Action is not null);

    private static CaseMemory NoMemory(MemoryPolicy policy, string reason) => new(Name(policy), MemoryTaken.None, null, reason, 0);

    private static string Name<T>(T choice) where T : struct, Enum => choice.ToString().ToLowerInvariant();

    private static readonly IProgress<(long Done, long Total)> NoProgress = new MemoryCapture.Progress(_ => { });
}
