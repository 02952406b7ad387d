using System.Threading.Channels;

namespace VsockPair.Watch;

/// <summary>Events of one kind that came one after the other.</summary>
/// <param name="First">Of the first of them, as <paramref name="Detail"/>.</param>
internal readonly record struct EventRun(MachineEventKind Kind, long Count, DateTimeOffset First, string? Detail);

/// <summary>
/// Events of a machine until somebody looks at them, counted and never dropped, however many: a guest can raise GUEST_PANICKED by one write to a port. Whoever
/// fills it never waits, so answers of the machine, which come after its events, are not held up.
/// </summary>
internal sealed class MachineInbox
{
    private const int MostRuns = 1024;

    private readonly Lock _gate = new();
    private readonly List<EventRun> _runs = [];
    private TaskCompletionSource _came = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Takes events until the connection ends.</summary>
    public async Task PumpAsync(ChannelReader<MachineEvent> events)
    {
        while (await events.WaitToReadAsync().ConfigureAwait(false))
        {
            TakeFrom(events);
        }
    }

    /// <summary>After an answer of the machine: everything that came before it.</summary>
    public void TakeFrom(ChannelReader<MachineEvent> events)
    {
        lock (_gate)
        {
            while (events.TryRead(out MachineEvent machineEvent))
            {
                Add(machineEvent);
            }
            _came.TrySetResult();
        }
    }

    public IReadOnlyList<EventRun> Take()
    {
        lock (_gate)
        {
            EventRun[] runs = [.. _runs];
            _runs.Clear();
            _came = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return runs;
        }
    }

    /// <summary>Until there is something, or the time is over.</summary>
    public async Task WaitAsync(TimeSpan limit, CancellationToken stop)
    {
        Task came;
        lock (_gate)
        {
            came = _came.Task;
        }
        await Task.WhenAny(came, Task.Delay(limit, stop)).ConfigureAwait(false);
        stop.ThrowIfCancellationRequested();
    }

    /// <summary>Wakes whoever waits, for something that is no event.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            _came.TrySetResult();
        }
    }

    private void Add(MachineEvent machineEvent)
    {
        int same = _runs.Count > 0 && _runs[^1].Kind == machineEvent.Kind ? _runs.Count - 1 : -1;
        if (same < 0 && _runs.Count >= MostRuns)
        {
            // No machine has so many different things to say in a second: order is given up, counts are not.
            same = _runs.FindLastIndex(r => r.Kind == machineEvent.Kind);
        }
        if (same >= 0)
        {
            _runs[same] = _runs[same] with { Count = _runs[same].Count + 1 };
        }
        else
        {
            _runs.Add(new EventRun(machineEvent.Kind, 1, machineEvent.Time, machineEvent.Detail));
        }
    }
}
