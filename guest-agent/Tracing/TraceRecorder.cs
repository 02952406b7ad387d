using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>All of the guest's trace streams: one thread per online vCPU. Used by the main thread only.</summary>
internal sealed class TraceRecorder(
    TraceInstance instance, ReadStrategy strategy, TimeSpan flush, GuestPaths paths, IHostConnector host, WakeEvent owner)
{
    private readonly List<CpuStream> _streams = [];
    private readonly string _onlineFile = $"{paths.SysFs}/devices/system/cpu/online";
    private string _online = "";
    private SessionLink? _link;
    private IReadOnlyList<StreamCounters> _unreported = instance.Retired;

    public int SubBufferBytes => instance.SubBufferBytes;

    /// <summary>Starts threads for vCPUs that came online, and ends those of vCPUs that went.</summary>
    public void FollowOnlineCpus()
    {
        string online = SmallFile.ReadText(_onlineFile);
        if (online == _online)
        {
            return;
        }
        _online = online;
        List<int> cpus = CpuList.Parse(online);
        foreach (CpuStream gone in _streams.FindAll(s => !cpus.Contains(s.Cpu)))
        {
            AgentLog.Info($"cpu{gone.Cpu} is offline, its ring is drained");
            gone.Retire();
        }
        foreach (int cpu in cpus.FindAll(c => !_streams.Exists(s => s.Cpu == c)))
        {
            CpuStream stream = new(cpu, instance, strategy, flush, host, owner);
            _streams.Add(stream);
            stream.Start();
            JoinIfWithinLimit(stream);
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

    public bool IsDoneWith(SessionLink link) => !ReferenceEquals(_link, link) || _streams.TrueForAll(s => s.Cpu >= link.MaxCpus || s.IsDoneWith(link));

    public void StopRecording() => instance.StopRecording();

    /// <summary>Figures of all rings, those of thrown-away ones first; streams that ended with their vCPU are reported a last time.</summary>
    public void Report(FrameChannel control)
    {
        foreach (StreamCounters counters in _unreported)
        {
            control.Send(counters);
        }
        _unreported = [];
        List<CpuStream> ended = [];
        foreach (CpuStream stream in _streams)
        {
            bool hasEnded = stream.HasEnded;
            if (stream.Counters is StreamCounters counters)
            {
                control.Send(counters);
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
            _online = "";
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
