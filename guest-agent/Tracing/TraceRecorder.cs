using System.Globalization;
using System.Text;
using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// All of the guest's trace streams: one thread per online vCPU, and one for each ring that still holds events of a vCPU that is gone.
/// Used by the main thread only.
/// </summary>
internal sealed class TraceRecorder : IDisposable
{
    private readonly TraceInstance _instance;
    private readonly ReadStrategy _strategy;
    private readonly TimeSpan _flush;
    private readonly TimeSpan _dismissLimit;
    private readonly IHostConnector _host;
    private readonly WakeEvent _owner;
    private readonly List<CpuStream> _streams = [];
    private readonly PolledFile _onlineFile;
    private byte[] _online = [];
    private SessionLink? _link;
    private readonly List<StreamCounters> _unreported;

    public TraceRecorder(TraceInstance instance, ReadStrategy strategy, TimeSpan flush, TimeSpan dismissLimit, GuestPaths paths, IHostConnector host, WakeEvent owner)
    {
        _instance = instance;
        _strategy = strategy;
        _flush = flush;
        _dismissLimit = dismissLimit;
        _host = host;
        _owner = owner;
        _unreported = instance.Retired;
        _onlineFile = new PolledFile($"{paths.SysFs}/devices/system/cpu/online");
    }

    public int SubBufferBytes => _instance.SubBufferBytes;

    /// <summary>How often <see cref="SendForSleepers"/> is due.</summary>
    public TimeSpan Flush => _flush;

    /// <summary>Follows the vCPUs that are online now, and drains the rings that an earlier agent left of vCPUs that are not.</summary>
    public void Start()
    {
        FollowOnlineCpus();
        if (!_instance.IsReused)
        {
            return;
        }
        foreach (string folder in Directory.GetDirectories(_instance.Files.Path("per_cpu")))
        {
            int cpu = int.Parse(Path.GetFileName(folder).AsSpan(3), NumberStyles.None, CultureInfo.InvariantCulture);
            if (!_streams.Exists(s => s.Cpu == cpu) && UnreadEvents(cpu) > 0)
            {
                AgentLog.Info($"cpu{cpu} is offline, what its ring still holds is drained");
                Add(cpu).Retire();
            }
        }
    }

    /// <summary>Starts threads for vCPUs that came online, and ends those of vCPUs that went.</summary>
    public void FollowOnlineCpus()
    {
        Span<byte> text = stackalloc byte[PolledFile.MostBytes];
        ReadOnlySpan<byte> online = text[.._onlineFile.Read(text)];
        if (online.SequenceEqual(_online))
        {
            return;
        }
        _online = online.ToArray();
        List<int> cpus = CpuList.Parse(Encoding.UTF8.GetString(online));
        foreach (CpuStream stream in _streams)
        {
            bool isOnline = cpus.Contains(stream.Cpu);
            if (!isOnline && !stream.IsRetired)
            {
                AgentLog.Info($"cpu{stream.Cpu} is offline, its ring is drained");
                stream.Retire();
            }
            else if (isOnline && stream.IsRetired)
            {
                stream.Revive();
            }
        }
        foreach (int cpu in cpus.FindAll(c => !_streams.Exists(s => s.Cpu == c)))
        {
            Add(cpu);
        }
    }

    /// <summary>One wake-up for the whole guest instead of one for each vCPU.</summary>
    public void SendForSleepers()
    {
        foreach (CpuStream stream in _streams)
        {
            stream.SendWhileAsleep();
        }
    }

    public void Join(SessionLink link)
    {
        _link = link;
        foreach (CpuStream stream in _streams)
        {
            JoinIfWithinLimit(stream);
        }
    }

    public void Notify()
    {
        foreach (CpuStream stream in _streams)
        {
            stream.Notify();
        }
    }

    public bool IsDoneWith(SessionLink link) =>
        !ReferenceEquals(_link, link) || _streams.TrueForAll(s => s.Cpu >= link.MaxCpus || s.HasEnded || s.IsDoneWith(link));

    public void StopRecording() => _instance.StopRecording();

    /// <summary>Makes a change that empties the rings, once no stream reads them any more. A <see cref="Join"/> must follow.</summary>
    /// <returns>Null, or why it was not made.</returns>
    public string? Remake(Func<string?> change, bool resume)
    {
        if (!TryDismissStreams())
        {
            return "the trace streams are still busy with what was recorded";
        }
        _instance.StopRecording();
        string? refusal = null;
        _unreported.AddRange(_instance.BeginGeneration(() => refusal = change()));
        // vCPUs have nothing to join before the next session, or the rest of this one.
        _link = null;
        if (resume)
        {
            _instance.StartRecording();
            FollowOnlineCpus();
        }
        return refusal;
    }

    /// <summary>The kernel refuses to switch a tracer while any reader has a ring open (<c>trace_ref</c>).</summary>
    private bool TryDismissStreams()
    {
        if (_link is SessionLink link && !IsDoneWith(link))
        {
            return false;
        }
        _streams.ForEach(s => s.Dismiss());
        Recurring left = new(_dismissLimit);
        while (!_streams.TrueForAll(s => s.HasEnded))
        {
            if (left.IsDue())
            {
                return false;
            }
            SocketWait.Sleep(_owner, left.MillisecondsLeft);
        }
        _streams.ForEach(s => s.Dispose());
        _streams.Clear();
        _online = [];
        return true;
    }

    /// <summary>Figures of all rings, those of thrown-away ones first; streams that ended with their vCPU are reported a last time.</summary>
    /// <param name="leaves">The agent's last report: rings that are not drained stay as they are for the next one.</param>
    /// <returns>Events in them.</returns>
    public ulong Report(FrameChannel control, SessionLink link, bool leaves = false)
    {
        ulong allLeft = 0;
        foreach (StreamCounters counters in _unreported)
        {
            SendIfWithinLimit(control, link, counters);
        }
        _unreported.Clear();
        List<CpuStream> ended = [];
        foreach (CpuStream stream in _streams)
        {
            bool hasEnded = stream.HasEnded;
            if (stream.Counters is StreamCounters counters)
            {
                SendIfWithinLimit(control, link, counters);
                ulong left = leaves && !counters.Final && counters.Cpu < link.MaxCpus ? UnreadEvents(stream.Cpu) : 0;
                if (left > 0)
                {
                    control.Send(new EventsLeft(counters.Cpu, counters.Generation, left));
                    allLeft += left;
                }
            }
            if (hasEnded)
            {
                ended.Add(stream);
            }
        }
        foreach (CpuStream stream in ended)
        {
            _streams.Remove(stream);
            stream.Dispose();
            // The vCPU may have come back while its ring was drained.
            _online = [];
        }
        return allLeft;
    }

    public void Dispose() => _onlineFile.Dispose();

    private CpuStream Add(int cpu)
    {
        CpuStream stream = new(cpu, _instance, _strategy, _flush, _host, _owner);
        _streams.Add(stream);
        stream.Start();
        JoinIfWithinLimit(stream);
        return stream;
    }

    private ulong UnreadEvents(int cpu)
    {
        using CpuStatsFile file = new(_instance.Files.Path($"per_cpu/cpu{cpu}/stats"));
        return file.Read().Entries;
    }

    // Figures of a CPU that the collector does not take would be a violation.
    private static void SendIfWithinLimit(FrameChannel control, SessionLink link, in StreamCounters counters)
    {
        if (counters.Cpu < link.MaxCpus)
        {
            control.Send(counters);
        }
    }

    private void JoinIfWithinLimit(CpuStream stream)
    {
        if (_link is SessionLink link && stream.Cpu < link.MaxCpus)
        {
            stream.Join(link);
        }
        else if (_link is not null)
        {
            AgentLog.Warning($"cpu{stream.Cpu} is not streamed: the collector takes {_link.MaxCpus} CPUs of a guest");
        }
    }
}
