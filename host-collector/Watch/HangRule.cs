using VsockPair.Sessions;
using VsockPair.Text;

namespace VsockPair.Watch;

/// <summary>
/// <c>HangAfter</c>: the machine runs, and has run all the time, but its agent has not been heard of, or the machine's watchdog bit. Once for a boot. Off where no time is set,
/// for a guest whose agent was stopped looks the same.
/// </summary>
internal sealed class HangRule(string guest, WatchParts parts)
{
    private readonly TimeSpan _limit = parts.Options.Watch.HangAfter;
    private DateTimeOffset? _runningSince;
    private string? _watchdog;
    private string? _found;

    public void Take(EventRun run)
    {
        switch (run.Kind)
        {
            case MachineEventKind.Stopped or MachineEventKind.Resumed or MachineEventKind.Reset:
                _runningSince = null;
                break;
            case MachineEventKind.Watchdog:
                _watchdog = run.Detail;
                break;
        }
    }

    /// <returns>What was seen; null when nothing hangs.</returns>
    public string? Finds(MachineState state, DateTimeOffset? began)
    {
        DateTimeOffset now = parts.Time.GetUtcNow();
        _runningSince = state == MachineState.Running ? _runningSince ?? now : null;
        string? watchdog = _watchdog;
        _watchdog = null;
        if (_limit == TimeSpan.Zero)
        {
            return null;
        }
        if (watchdog is not null)
        {
            return $"the machine's watchdog bit (action {TerminalText.EscapeShort(watchdog)})";
        }
        if (_runningSince is null || now - _runningSince < _limit || parts.Boots.Running(guest, began) is not KnownBoot boot || boot.Name == _found
            || boot.Record is not { EndReason: EndReasons.Lost, Ended: DateTimeOffset lost } || now - lost < _limit)
        {
            return null;
        }
        _found = boot.Name;
        return $"its agent has not been heard of for {Units.Duration(now - lost)}, while the machine runs";
    }
}
