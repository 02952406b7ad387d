using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Connections;
using VsockPair.GuestAgent.Files;
using VsockPair.GuestAgent.Kmsg;
using VsockPair.GuestAgent.Metadata;
using VsockPair.GuestAgent.Pstore;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>
/// All that lives as long as the agent process: what was found in the guest, the streams' threads, and what sessions share.
/// What the guest lacks is a note, and the rest goes on.
/// </summary>
internal sealed class Agent : IDisposable
{
    private Agent(GuestIdentity identity, AgentState state, IHostConnector host, StopRequest stop, Timings timings, MetadataFiles metadata, PstoreRecords pstore)
    {
        Identity = identity;
        State = state;
        Host = host;
        Stop = stop;
        Timings = timings;
        Metadata = metadata;
        Pstore = pstore;
    }

    public GuestIdentity Identity { get; }

    public AgentState State { get; }

    public IHostConnector Host { get; }

    public StopRequest Stop { get; }

    public Timings Timings { get; }

    public MetadataFiles Metadata { get; }

    public PstoreRecords Pstore { get; }

    public required GuestNotes Notes { get; init; }

    public FileHashes Hashes { get; } = new();

    /// <summary>Null where the guest cannot trace.</summary>
    public TraceRecorder? Trace { get; private init; }

    /// <summary>As <see cref="Trace"/>.</summary>
    public TraceControl? Control { get; private init; }

    public LocalClock? LocalClock { get; private init; }

    public KmsgStream? Kmsg { get; private init; }

    public static Agent Start(
        AgentOptions options, GuestPaths paths, GuestIdentity identity, AgentState state, IHostConnector host, StopRequest stop, Timings timings)
    {
        GuestNotes notes = new();
        if (state.Fault is string fault)
        {
            notes.Add(fault);
        }
        Tracefs? top = Tracefs.Find(paths);
        TraceInstance? instance = OpenInstance(top, options, paths, state, notes);
        TraceRecorder? trace = null;
        TraceControl? control = null;
        if (instance is not null)
        {
            ReadStrategy strategy = ReadStrategyProbe.Probe(instance.SubBufferBytes, $"{paths.Proc}/kallsyms");
            AgentLog.Info($"recording {instance.Configured.Events.Count} events, {ReadStrategyProbe.Describe(strategy)}");
            trace = new TraceRecorder(instance, strategy, options.Flush, timings.Dismiss, paths, host, stop.Wake);
            trace.Start();
            control = new TraceControl(instance, trace, options, timings, stop, paths);
        }
        KmsgStream? kmsg = OpenKmsg(paths, host, stop.Wake, notes);
        kmsg?.Start();
        PstoreRecords.NoteMissing(paths, notes);
        MetadataFiles metadata = new(paths, instance is null ? null : top, instance, timings.Refresh, notes);
        return new Agent(identity, state, host, stop, timings, metadata, new PstoreRecords(paths, options.RemoveAcknowledged))
        {
            Notes = notes,
            Trace = trace,
            Control = control,
            LocalClock = instance is null ? null : new LocalClock(top!),
            Kmsg = kmsg,
        };
    }

    public void Dispose()
    {
        LocalClock?.Dispose();
        Trace?.Dispose();
        State.Dispose();
    }

    private static TraceInstance? OpenInstance(Tracefs? top, AgentOptions options, GuestPaths paths, AgentState state, GuestNotes notes)
    {
        if (top is null)
        {
            notes.Add($"no tracing: tracefs is not mounted at {paths.Tracefs[0]} (mount -t tracefs tracefs {paths.Tracefs[0]}, then restart the agent)");
            return null;
        }
        try
        {
            TraceInstance instance = TraceInstance.Open(top, options, state, CpuList.CountOnline(paths), MemInfo.ReadTotalKb(paths));
            instance.Record(options.Events, notes);
            return instance;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            notes.Add($"no tracing: {e.Message}");
            return null;
        }
    }

    private static KmsgStream? OpenKmsg(GuestPaths paths, IHostConnector host, WakeEvent owner, GuestNotes notes)
    {
        int file = Sys.Open(paths.Kmsg, Constants.O_RDONLY | Constants.O_NONBLOCK);
        if (file < 0)
        {
            notes.Add($"no kernel log: {paths.Kmsg}: {Errno.Describe(-file)}");
            return null;
        }
        return new KmsgStream(new Fd(file), host, owner);
    }
}
