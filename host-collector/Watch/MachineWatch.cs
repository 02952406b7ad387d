using System.Threading.Channels;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Watch;

/// <summary>
/// One machine, for as long as its endpoint is there: connects, again and again; publishes who it is; asks every second how it is, for an event can be missed; has its
/// <see cref="CaseKeeper"/> do what there is to do. One task does all that, so nothing that is done to the machine overlaps.
/// </summary>
internal sealed class MachineWatch(MachineEndpoint endpoint, WatchParts parts)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    /// <summary>A guest that panics as fast as it is let go gets no more of this host than so many looks.</summary>
    private static readonly TimeSpan LeastInterval = TimeSpan.FromMilliseconds(50);

    private static readonly TimeSpan LeavePatience = TimeSpan.FromSeconds(2);

    private readonly MachineInbox _inbox = new();
    private readonly Channel<DumpOrder> _orders = Channel.CreateBounded<DumpOrder>(1);
    private readonly Dictionary<string, CaseKeeper> _keepers = new(StringComparer.Ordinal);
    private volatile MachineStatus _status = new() { Name = endpoint.Name, Source = endpoint.Key };
    private string? _fault;

    public MachineEndpoint Endpoint => endpoint;

    public MachineStatus Status => _status;

    /// <summary>Until the token says that its endpoint is gone or that this service stops.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        TimeSpan pause = FirstPause;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await using IMachine machine = await endpoint.Connect(stop).ConfigureAwait(false);
                pause = FirstPause;
                _fault = null;
                await WatchAsync(machine, stop).ConfigureAwait(false);
            }
            catch (MachineException e)
            {
                Report(e.Message);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // The store: this guest's cases wait, its machine is looked at again.
                Report(e.Message);
            }
            try
            {
                await Task.Delay(pause, stop).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                break;
            }
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }
        _orders.Writer.TryComplete();
    }

    /// <summary>Has the memory of a running guest taken.</summary>
    /// <returns>False when another is waiting already.</returns>
    public bool TryOrder(DumpOrder order)
    {
        bool isTaken = _orders.Writer.TryWrite(order);
        _inbox.Wake();
        return isTaken;
    }

    private void Report(string fault)
    {
        _status = _status with { ConnectedSince = null, State = null, Fault = fault };
        if (_fault != fault)
        {
            _fault = fault;
            parts.Log.MachineNotReached(endpoint.Name, TerminalText.EscapeShort(fault));
        }
    }

    private async Task WatchAsync(IMachine machine, CancellationToken stop)
    {
        string guest = parts.GuestOf(machine.Identity);
        if (!_keepers.TryGetValue(guest, out CaseKeeper? keeper))
        {
            keeper = _keepers[guest] = parts.KeeperOf(guest);
        }
        Task pump = _inbox.PumpAsync(machine.Events);
        MachineIdentity identity = machine.Identity;
        _status = _status with
        {
            Name = guest, Uuid = identity.Uuid, Cid = identity.Cid, Started = identity.Started, ConnectedSince = parts.Time.GetUtcNow(), Fault = null, Checks = machine.Checks,
        };
        try
        {
            long bytes = await machine.QueryMemoryBytesAsync(stop).ConfigureAwait(false);
            _status = _status with { MemoryBytes = bytes };
            PublishIdentity(guest, machine);
            parts.Log.MachineConnected(guest, identity.Source, identity.Cid?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "not known");
            Publish(WatchEvent.MachineConnected, guest);
            await keeper.AdoptAsync(machine, stop).ConfigureAwait(false);
            await LookUntilGoneAsync(machine, guest, keeper, new HangRule(guest, parts), stop).ConfigureAwait(false);
        }
        finally
        {
            if (stop.IsCancellationRequested)
            {
                await LeaveAsync(machine, guest).ConfigureAwait(false);
            }
            await machine.DisposeAsync().ConfigureAwait(false);
            await pump.ConfigureAwait(false);
            foreach (EventRun run in _inbox.Take())
            {
                keeper.Take(run, machine);
            }
            if (stop.IsCancellationRequested)
            {
                keeper.Save();
            }
            else
            {
                if (machine.IsGone)
                {
                    await keeper.EndAsync(machine, stop).ConfigureAwait(false);
                    parts.Identities.Remove(guest);
                }
                keeper.Leave();
                parts.Log.MachineGone(guest, identity.Source);
                Publish(WatchEvent.MachineGone, guest);
            }
            FailOrders($"{guest} is not connected any more");
        }
    }

    /// <summary>Who it is, and what would become of a crash, which may change while it runs. A full disk is no reason to let a crash go by.</summary>
    private void PublishIdentity(string guest, IMachine machine)
    {
        _status = _status with { Checks = machine.Checks };
        try
        {
            parts.Identities.Publish(guest, machine, _status.MemoryBytes ?? 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            parts.Log.IdentityNotWritten(guest, e.Message);
        }
    }

    private async Task LookUntilGoneAsync(IMachine machine, string guest, CaseKeeper keeper, HangRule hang, CancellationToken stop)
    {
        while (!machine.Events.Completion.IsCompleted)
        {
            stop.ThrowIfCancellationRequested();
            MachineState state = await machine.QueryStateAsync(stop).ConfigureAwait(false);
            _inbox.TakeFrom(machine.Events);
            IReadOnlyList<EventRun> runs = _inbox.Take();
            foreach (EventRun run in runs)
            {
                keeper.Take(run, machine);
                hang.Take(run);
            }
            Count(state, runs);
            if (!ReferenceEquals(machine.Checks, _status.Checks))
            {
                PublishIdentity(guest, machine);
            }
            await keeper.LookAsync(machine, state, stop).ConfigureAwait(false);
            if (hang.Finds(state, keeper.Began) is string detail)
            {
                await keeper.SeeToHangAsync(machine, detail, stop).ConfigureAwait(false);
            }
            if (_orders.Reader.TryRead(out DumpOrder? order))
            {
                await CarryOutAsync(order, machine, keeper, stop).ConfigureAwait(false);
            }
            await Task.Delay(LeastInterval, stop).ConfigureAwait(false);
            await _inbox.WaitAsync(LookInterval, stop).ConfigureAwait(false);
            keeper.Save();
        }
    }

    private void Count(MachineState state, IReadOnlyList<EventRun> runs)
    {
        long panics = runs.Where(r => r.Kind == MachineEventKind.Panicked).Sum(r => r.Count);
        _status = _status with
        {
            State = state.ToString().ToLowerInvariant(),
            Panics = Saturating.Add(_status.Panics, panics),
            Events = Saturating.Add(_status.Events, runs.Sum(r => r.Count) - panics),
        };
    }

    private static async Task CarryOutAsync(DumpOrder order, IMachine machine, CaseKeeper keeper, CancellationToken stop)
    {
        try
        {
            CaseFolder file = await keeper.DumpAsync(machine, order.Progress, stop).ConfigureAwait(false);
            order.Result.TrySetResult(file);
        }
        catch (Exception e) when (e is MachineException or IOException or UnauthorizedAccessException)
        {
            order.Result.TrySetException(e);
        }
    }

    private async Task LeaveAsync(IMachine machine, string guest)
    {
        using CancellationTokenSource limit = new(LeavePatience);
        try
        {
            await machine.LeaveAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is MachineException or OperationCanceledException)
        {
            parts.Log.NotRestored(guest, e.Message);
        }
    }

    private void FailOrders(string reason)
    {
        while (_orders.Reader.TryRead(out DumpOrder? order))
        {
            order.Result.TrySetException(new MachineException(reason));
        }
    }

    private void Publish(string what, string guest) => parts.Feed.Publish(new WatchEvent { Time = parts.Time.GetUtcNow(), Event = what, Guest = guest });
}

/// <summary>An operator wants a guest's memory.</summary>
internal sealed record DumpOrder(IProgress<(long Done, long Total)> Progress)
{
    public TaskCompletionSource<CaseFolder> Result { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
