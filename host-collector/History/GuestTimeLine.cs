using VsockPair.Clocks;
using VsockPair.Commands;

namespace VsockPair.History;

/// <summary>One kind of what is stored of a boot, by the guest's clock that stamps it. Nanoseconds.</summary>
internal abstract class GuestTimeLine
{
    /// <summary>The kernel log, stamped by the kernel's <c>local_clock()</c>.</summary>
    public static GuestTimeLine Log { get; } = new LogLine();

    /// <summary>The trace, stamped by its trace clock.</summary>
    public static GuestTimeLine Trace { get; } = new TraceLine();

    /// <summary>When the newest record was stamped; null when nothing is stored.</summary>
    public abstract long? Newest(StoredBoot boot);

    public abstract DateTimeOffset HostAt(ClockModel clock, long guestTime);

    public abstract long GuestAt(ClockModel clock, DateTimeOffset hostTime);

    private sealed class LogLine : GuestTimeLine
    {
        public override long? Newest(StoredBoot boot) => KmsgLog.NewestNanoseconds(boot);

        public override DateTimeOffset HostAt(ClockModel clock, long guestTime) => clock.HostAtLocal(guestTime).Time;

        public override long GuestAt(ClockModel clock, DateTimeOffset hostTime) => clock.LocalAtHost(hostTime);
    }

    private sealed class TraceLine : GuestTimeLine
    {
        public override long? Newest(StoredBoot boot) => BootRecording.Open(boot).Newest is ulong newest ? (long)Math.Min(newest, long.MaxValue) : null;

        public override DateTimeOffset HostAt(ClockModel clock, long guestTime) => clock.HostAtBoot(guestTime).Time;

        public override long GuestAt(ClockModel clock, DateTimeOffset hostTime) => clock.BootAtHost(hostTime);
    }
}
