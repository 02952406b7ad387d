using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.Clocks;

/// <summary>
/// The clocks of one boot of a guest and those of its host, from the samples of <c>clock.jsonl</c>. In each sample the guest read its trace clock between two readings of
/// the host's, so half the round trip is a bound that no delay and no asymmetry breaks; between samples the drift of clocks adds to it.
/// </summary>
internal sealed class ClockModel
{
    private readonly ClockLine _realTime;
    private readonly Lazy<ClockLine> _monotonic;
    private readonly ClockLine _local;

    private ClockModel(ClockSample[] samples)
    {
        Samples = samples.Length;
        Newest = samples[^1];
        _realTime = new ClockLineBuilder().Build(samples.Select(s => new ClockPoint(s.GuestBoot, s.HostRealTime, s.Error)));
        _monotonic = new Lazy<ClockLine>(() => new ClockLineBuilder().Build(samples.Select(s => new ClockPoint(s.GuestBoot, s.HostMonotonic, s.Error))));
        _local = new ClockLineBuilder().Build(samples.Select(LocalPoint).OfType<ClockPoint>());
    }

    public int Samples { get; }

    public ClockSample Newest { get; }

    /// <summary>Host CLOCK_REALTIME on the guest's trace clock.</summary>
    public ClockLine RealTime => _realTime;

    /// <summary>Host CLOCK_MONOTONIC on the guest's trace clock.</summary>
    public ClockLine Monotonic => _monotonic.Value;

    /// <summary>Null when no ping has been answered in this boot with times that a clock can show.</summary>
    public static ClockModel? Load(StoredBoot boot, TextWriter remarks) =>
        Of(JsonLines.Read(StorePaths.Clock(boot.Folder), StoreJson.Default.ClockSample, remarks));

    public static ClockModel? Of(IEnumerable<ClockSample> samples)
    {
        ClockSample[] known = [.. samples.Where(s => new ClockPoint(s.GuestBoot, s.HostRealTime, s.Error).IsPlausible)];
        return known.Length == 0 ? null : new ClockModel(known);
    }

    /// <summary>Host time of a trace time stamp.</summary>
    public ClockReading HostAtBoot(long boot) => _realTime.At(boot);

    /// <summary>Host time of a stamp of the kernel log.</summary>
    public ClockReading HostAtLocal(long local)
    {
        ClockReading boot = BootAtLocal(local);
        ClockReading host = HostAtBoot(boot.Nanoseconds);
        return host with { Error = Saturating.Add(host.Error, boot.Error) };
    }

    /// <summary>
    /// Trace clock of a stamp of the kernel log. Where a guest does not tell its local clock the two are taken for one: both begin with the boot.
    /// </summary>
    public ClockReading BootAtLocal(long local) => _local.IsEmpty ? new ClockReading(local, ClockReading.Unbounded) : _local.At(local);

    /// <summary>What the kernel log stamps at a trace time stamp.</summary>
    public long LocalAtBoot(long boot) => _local.IsEmpty ? boot : _local.FromAt(boot);

    /// <summary>What the trace clock showed at a moment of the host's.</summary>
    public long BootAtHost(DateTimeOffset time) => _realTime.FromAt(ClockReading.NanosecondsOf(time));

    /// <summary>What the kernel log stamps at a moment of the host's.</summary>
    public long LocalAtHost(DateTimeOffset time) => LocalAtBoot(BootAtHost(time));

    private static ClockPoint? LocalPoint(ClockSample sample) =>
        sample is { GuestLocal: long local, GuestLocalAtBoot: long boot, GuestLocalError: long error } ? new ClockPoint(local, boot, error) : null;
}
