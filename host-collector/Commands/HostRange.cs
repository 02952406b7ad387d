using VsockPair.Clocks;
using VsockPair.History;

namespace VsockPair.Commands;

/// <summary>
/// A selection's range, with <c>-10m</c> fixed to the newest record that is stored. Bounds in host time are translated by each boot's clock;
/// bounds since the boot, and those relative to a newest boot without a clock, are the guest's own already.
/// </summary>
internal sealed class HostRange
{
    private readonly Selection _selection;
    private readonly GuestTimeLine _line;
    private readonly StoredBoot? _newestBoot;
    private readonly long _newestGuest;
    private readonly DateTimeOffset? _newestHost;

    private HostRange(Selection selection, GuestTimeLine line, StoredBoot? newestBoot, long newestGuest, DateTimeOffset? newestHost)
    {
        _selection = selection;
        _line = line;
        _newestBoot = newestBoot;
        _newestGuest = newestGuest;
        _newestHost = newestHost;
    }

    public static HostRange All { get; } = new(new Selection(null, null, null), GuestTimeLine.Log, null, 0, null);

    public bool NeedsClock => _selection.Since is { IsHostTime: true } || _selection.Until is { IsHostTime: true };

    /// <param name="line">What is chosen from, and by which of the guest's clocks it is stamped.</param>
    public static HostRange Of(Selection selection, IReadOnlyList<StoredBoot> boots, GuestTimeLine line, TextWriter remarks)
    {
        if (selection.Since?.BeforeNewest is not null || selection.Until?.BeforeNewest is not null)
        {
            foreach (StoredBoot boot in boots.Reverse())
            {
                if (line.Newest(boot) is long newest)
                {
                    ClockModel? clock = ClockModel.Load(boot, remarks);
                    return new HostRange(selection, line, boot, newest, clock is null ? null : line.HostAt(clock, newest));
                }
            }
        }
        return new HostRange(selection, line, null, 0, null);
    }

    /// <summary>Both ends on the guest's clock; null when nothing of it is meant, or none of it can be placed.</summary>
    public (long From, long To)? InGuestClock(StoredBoot boot, ClockModel? clock, TextWriter remarks)
    {
        if (!TryPlace(_selection.Since, boot, clock, 0, out long from) || !TryPlace(_selection.Until, boot, clock, long.MaxValue, out long to))
        {
            remarks.WriteLine($"boot {boot.Name} has no clock sample that places it in host time and is left out; use -b {boot.Name} -S boot+SECONDS");
            return null;
        }
        return to < 0 || to < from ? null : (Math.Max(from, 0), to);
    }

    /// <summary>Both ends in host time.</summary>
    /// <exception cref="CommandFailure">A bound needs a clock sample, and there is none.</exception>
    public (DateTimeOffset From, DateTimeOffset To) InHostTime(StoredGuest guest, TextWriter remarks) =>
        (InHostTime(_selection.Since, guest, remarks) ?? DateTimeOffset.MinValue, InHostTime(_selection.Until, guest, remarks) ?? DateTimeOffset.MaxValue);

    private DateTimeOffset? InHostTime(TimePoint? point, StoredGuest guest, TextWriter remarks)
    {
        if (point?.BeforeNewest is TimeSpan before)
        {
            return (_newestHost ?? guest.Record?.LastSeen) is DateTimeOffset newest
                ? newest - before
                : throw new CommandFailure(ExitCode.Failed, $"nothing says when {guest.Name} was last seen; write the time as {TimePoint.Forms}");
        }
        if (point?.SinceBoot is long guestTime)
        {
            StoredBoot? boot = _selection.Boot is null ? guest.NewestBoot : guest.FindBoot(_selection.Boot);
            return (boot is null ? null : ClockModel.Load(boot, remarks)) is ClockModel clock
                ? _line.HostAt(clock, guestTime)
                : throw new CommandFailure(ExitCode.Failed, $"boot {boot?.Name} has no clock sample that places boot+ in host time; write an RFC 3339 time");
        }
        return point?.Host;
    }

    private bool TryPlace(TimePoint? point, StoredBoot boot, ClockModel? clock, long open, out long guestTime)
    {
        guestTime = point?.SinceBoot ?? open;
        if (point is not { IsHostTime: true })
        {
            return true;
        }
        if (point.BeforeNewest is TimeSpan before && boot.Name == _newestBoot?.Name)
        {
            guestTime = _newestGuest - before.Ticks * TimeSpan.NanosecondsPerTick;
            return true;
        }
        DateTimeOffset? host = point.Host ?? (point.BeforeNewest is TimeSpan span ? _newestHost - span : null);
        if (clock is null || host is null)
        {
            return false;
        }
        guestTime = _line.GuestAt(clock, host.Value);
        return true;
    }
}
