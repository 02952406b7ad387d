using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Files;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// The trace instance <c>boot_map</c>, whose memory survives a warm reboot, where the kernel's command line has made one (Documentation/trace/debugging.rst). What the
/// boot before left in it is taken out once and kept until the collector has it; then the ring is emptied and records this boot, for the next one to find.
/// Main thread only.
/// </summary>
/// <remarks>
/// Reading takes the events out of the ring for good: kernels before 6.17 do not find them again after another reboot. So it is left alone until a session
/// has begun, that a guest which dies again before that loses nothing; but not for longer than <see cref="Timings.PreviousWait"/>, that this boot is recorded also where no host is.
/// </remarks>
internal sealed class PersistentRing
{
    public const string Name = "boot_map";

    /// <summary>Only instances in reserved memory have it.</summary>
    public const string BootInfo = "last_boot_info";

    private readonly Tracefs _ring;
    private readonly PreviousTrace _previous;
    private readonly Guid _bootId;
    private readonly IReadOnlyList<string> _patterns;
    private readonly Recurring _mark;
    private readonly long _lateAt;
    private bool _isTaken;
    private bool _isRecording;

    private PersistentRing(Tracefs ring, PreviousTrace previous, Guid bootId, IReadOnlyList<string> patterns, Timings timings)
    {
        _ring = ring;
        _previous = previous;
        _bootId = bootId;
        _patterns = patterns;
        _mark = new Recurring(timings.Counters);
        _lateAt = Environment.TickCount64 + (long)timings.PreviousWait.TotalMilliseconds;
        _isTaken = previous.IsTaken;
    }

    /// <summary>Null where the guest has none.</summary>
    public static PersistentRing? Open(Tracefs? top, AgentOptions options, GuestPaths paths, Guid bootId, Timings timings)
    {
        Tracefs? ring = top?.Instance(Name);
        return ring?.Has(BootInfo) == true
            ? new PersistentRing(ring, new PreviousTrace(paths.State, bootId, MemInfo.ReadTotalKb(paths)), bootId, options.PersistentEvents, timings)
            : null;
    }

    /// <summary>For the start of a session with a collector that takes it.</summary>
    public void OfferAll(FileOffers offers)
    {
        Take();
        _previous.OfferAll(offers);
    }

    public void Acknowledged(OfferedFile file, FileOffers offers)
    {
        if (file.Kind == OfferedKind.Previous)
        {
            _previous.Acknowledged(file, offers);
        }
    }

    /// <summary>Whatever is due, in a session or without one.</summary>
    public void Step()
    {
        bool isLate = Environment.TickCount64 >= _lateAt;
        if (!_isRecording && (isLate || (_isTaken && _previous.IsSent)))
        {
            Take();
            _isRecording = true;
            Try("start recording", Record);
        }
        else if (_isRecording && _patterns.Count > 0 && _mark.IsAboutDue())
        {
            Mark();
        }
    }

    private void Take()
    {
        if (!_isTaken)
        {
            _isTaken = true;
            Try("keep what the boot before left", () => _previous.TakeFrom(_ring));
        }
    }

    private void Record()
    {
        _ring.Write("tracing_on", "0");
        if (_previous.BeginRecording())
        {
            // Both empty the rings: a file that is cut off, and another clock (tracing_set_clock).
            _ring.Write("trace", "");
            _ring.Write("trace_clock", TraceInstance.Clock);
        }
        _ring.Write("set_event", "");
        List<string> missing = [];
        foreach (string name in EventSelection.Resolve(_ring.Path("events"), _patterns, missing))
        {
            _ring.Write($"events/{name}/enable", "1");
        }
        missing.ForEach(m => AgentLog.Warning($"the persistent trace ring does not record {m}: this kernel does not have it"));
        if (_patterns.Count > 0)
        {
            _ring.Write("tracing_on", "1");
            Mark();
            AgentLog.Info($"the persistent trace ring records {string.Join(' ', _patterns)}");
        }
    }

    /// <summary>What the ring holds tells nowhere which boot it is of: now and then it is written into it.</summary>
    private void Mark() => _ring.TryWrite("trace_marker", PreviousTrace.MarkOf(_bootId, TraceInstance.Clock));

    private static void Try(string what, Action action)
    {
        try
        {
            action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            AgentLog.Warning($"the persistent trace ring: cannot {what}, ignoring: {e.Message}");
        }
    }
}
