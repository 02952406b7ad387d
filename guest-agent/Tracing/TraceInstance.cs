using System.Globalization;
using VsockPair.GuestAgent.Configuration;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// The agent's own ring, <c>instances/vsockpair</c>: other users of the guest's tracing are not disturbed. It outlives the agent, so that a restart
/// loses nothing; it is made anew when it is not known to be this agent's, or was made with other sizes.
/// </summary>
internal sealed class TraceInstance
{
    public const string Clock = "boot";
    private const string Name = "vsockpair";
    private const string BufferFile = "buffer_size_kb";
    private const int DefaultBufferKb = 1024;

    // A share of RAM that nobody misses.
    private const int RamShare = 100;
    private const int WatermarkBytes = 128 * 1024;

    private readonly Tracefs _files;
    private readonly AgentState _state;

    private TraceInstance(Tracefs files, AgentState state, int bufferKb, List<StreamCounters> retired)
    {
        _files = files;
        _state = state;
        SubBufferBytes = state.Ring.SubBufferBytes;
        Configured = new TraceSetup { Events = [], BufferKb = bufferKb };
        Retired = retired;
    }

    public Tracefs Files => _files;

    /// <summary>It is the ring of an earlier agent, and may hold what that one did not send.</summary>
    public bool IsReused { get; private init; }

    /// <summary>What the ring's counters belong to.</summary>
    public Guid Generation => _state.Ring.Generation;

    public int SubBufferBytes { get; }

    /// <summary>Last figures of a ring that had to be thrown away, its unread events counted as lost.</summary>
    public List<StreamCounters> Retired { get; }

    /// <summary>What is recorded unless an operator of the host wants something else for a time.</summary>
    public TraceSetup Configured { get; private set; }

    /// <param name="state">What an earlier agent of this boot left.</param>
    /// <param name="ramKb">Bounds the rings, unless the options name a size.</param>
    /// <exception cref="LinuxException">The kernel refuses something without which there is no tracing.</exception>
    public static TraceInstance Open(Tracefs top, AgentOptions options, AgentState state, int onlineCpus, long ramKb)
    {
        RingState before = state.Ring;
        int asked = options.BufferKb ?? 0;
        Tracefs files = top.Instance(Name);
        List<StreamCounters> retired = [];
        if (Directory.Exists(files.Folder))
        {
            // A tracer was left on by an agent that was killed, and switching it off would empty the rings.
            bool isTracing = files.Has("current_tracer") && files.Read("current_tracer") != TraceSetup.NoTracer;
            if (before.Generation != Guid.Empty && before.AskedBufferKb == asked && !isTracing
                && files.ReadChosen("trace_clock") == Clock && ReadSubBufferBytes(files) == before.SubBufferBytes)
            {
                return Reuse(files, state, retired);
            }
            Remove(files, before, retired);
        }

        // Written before the ring exists: a crash in between must never leave a ring under an older generation.
        state.Change(before.WithRing(Guid.Empty, 0, 0, 0));
        LinuxException.Check(files.TryMake(), "mkdir", files.Folder);
        int bufferKb = options.BufferKb ?? (int)Math.Clamp(ramKb / RamShare / onlineCpus, 8 * RingSize.FewestSubBuffers, DefaultBufferKb);
        files.Write("trace_clock", Clock);
        bufferKb = RingSize.Choose(bufferKb, (file, kb) => files.TryWrite(file, kb.ToString(CultureInfo.InvariantCulture)));
        int subBufferBytes = ReadSubBufferBytes(files);
        SetWatermark(files, bufferKb, subBufferBytes);
        state.Change(before.WithRing(Guid.NewGuid(), subBufferBytes, asked, bufferKb));
        AgentLog.Info($"trace ring of {bufferKb} KiB per vCPU, sub-buffers of {subBufferBytes / 1024} KiB");
        return new TraceInstance(files, state, bufferKb, retired);
    }

    /// <summary>Switches the wanted events on and all others off, with this process excluded from what it records.</summary>
    public void Record(IReadOnlyList<string> patterns, GuestNotes notes)
    {
        ExcludeOwnThreads(notes);
        List<string> missing = [];
        List<string> events = EventSelection.Resolve(_files.Path("events"), patterns, missing);
        HashSet<string> wanted = [.. events];
        foreach (string line in _files.Read("set_event").Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string enabled = line.Replace(':', '/');
            if (!wanted.Contains(enabled))
            {
                _files.Write($"events/{enabled}/enable", "0");
            }
            // An operator of the host may have set one, and the agent have been killed since.
            int result = _files.TryWrite($"events/{enabled}/filter", "0");
            if (result is < 0 and not -Errno.ENOENT)
            {
                AgentLog.Warning($"a filter of {line} may be left, ignoring: {Errno.Describe(-result)}");
            }
        }
        missing.AddRange(events.FindAll(e => _files.TryWrite($"events/{e}/enable", "1") < 0));
        events.RemoveAll(missing.Contains);
        Configured = new TraceSetup { Events = events, BufferKb = Configured.BufferKb };
        if (missing.Count > 0)
        {
            notes.Add($"events that this kernel does not have: {string.Join(' ', missing)}");
        }
        StartRecording();
    }

    public void StartRecording() => _files.Write("tracing_on", "1");

    public void StopRecording() => _files.Write("tracing_on", "0");

    /// <returns>0, or a negative error number and the size as it was.</returns>
    public int TryResize(int kb)
    {
        int result = _files.TryWrite(BufferFile, kb.ToString(CultureInfo.InvariantCulture));
        if (result == 0)
        {
            SetWatermark(_files, kb, SubBufferBytes);
        }
        return result;
    }

    /// <summary>Makes a change that empties the rings, and gives them a new generation. Recording is off, and nobody reads.</summary>
    /// <returns>Last figures of the generation before, its unread events counted as lost.</returns>
    public List<StreamCounters> BeginGeneration(Action change)
    {
        List<StreamCounters> retired = [];
        RingState before = _state.Ring;
        Retire(_files, before, retired);
        // As in Open: no crash may leave the emptied rings under the older generation.
        _state.Change(before.WithRing(Guid.Empty, 0, 0, 0));
        change();
        foreach (string folder in Directory.GetDirectories(_files.Path("per_cpu")))
        {
            // Opened to be cut off, this file empties its ring. A tracer's start has done that too, but not to vCPUs that are offline.
            _files.TryWrite($"per_cpu/{Path.GetFileName(folder)}/trace", "");
        }
        _state.Change(before.WithRing(Guid.NewGuid(), before.SubBufferBytes, before.AskedBufferKb, before.BufferKb));
        return retired;
    }

    /// <summary>From the kernel's own description, never assumed: <c>field: char data; offset:16; size:65520; …</c>.</summary>
    internal static int ReadSubBufferBytes(Tracefs files)
    {
        string header = files.Read("events/header_page");
        int data = header.IndexOf(" data;", StringComparison.Ordinal);
        int bytes = data < 0 ? 0 : NumberAfter(header, "offset:", data) + NumberAfter(header, "size:", data);
        if (bytes is < Wire.MinSubBufferBytes or > Wire.MaxSubBufferBytes || NumberAfter(header, "offset:", data) != SubBuffer.HeaderBytes)
        {
            throw new LinuxException("read", Errno.EINVAL, $"{files.Path("events/header_page")}: not the layout of a 64-bit kernel");
        }
        return bytes;
    }

    private static int NumberAfter(string text, string mark, int from)
    {
        int at = text.IndexOf(mark, from, StringComparison.Ordinal) + mark.Length;
        int end = text.IndexOf(';', at);
        return end > at && int.TryParse(text.AsSpan(at, end - at), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0;
    }

    private static TraceInstance Reuse(Tracefs files, AgentState state, List<StreamCounters> retired)
    {
        int bufferKb = state.Ring.BufferKb;
        if (bufferKb == 0 && !int.TryParse(files.Read(BufferFile), NumberStyles.None, CultureInfo.InvariantCulture, out bufferKb))
        {
            bufferKb = DefaultBufferKb;
        }
        TraceInstance instance = new(files, state, bufferKb, retired) { IsReused = true };
        if (state.Ring.BufferKb != 0 && instance.TryResize(bufferKb) is < 0 and int result)
        {
            AgentLog.Warning($"the ring keeps another size than it was made with, ignoring: {Errno.Describe(-result)}");
        }
        return instance;
    }

    private static void Remove(Tracefs files, RingState before, List<StreamCounters> retired)
    {
        files.Write("tracing_on", "0");
        if (before.Generation != Guid.Empty)
        {
            Retire(files, before, retired);
        }
        LinuxException.Check(Sys.RemoveDirectory(files.Folder), "rmdir", files.Folder);
    }

    private static void Retire(Tracefs files, RingState ring, List<StreamCounters> retired)
    {
        foreach (string folder in Directory.GetDirectories(files.Path("per_cpu")))
        {
            using CpuStatsFile file = new($"{folder}/stats");
            CpuStats stats = file.Read();
            int cpu = int.Parse(Path.GetFileName(folder).AsSpan(3), NumberStyles.None, CultureInfo.InvariantCulture);
            retired.Add(new StreamCounters(cpu, ring.Generation, stats.ReadEvents, stats.LostEvents + stats.Entries, Final: true));
        }
    }

    // poll() answers once (dirty + 1) * 100 >= percent * sub-buffers (full_hit in ring_buffer.c). Zero would wake for every event.
    private static void SetWatermark(Tracefs files, int bufferKb, int subBufferBytes)
    {
        int subBuffers = Math.Max(2, bufferKb * 1024 / subBufferBytes);
        int percent = Math.Clamp((WatermarkBytes / subBufferBytes + 1) * 100 / subBuffers, 1, 50);
        files.Write("buffer_percent", percent.ToString(CultureInfo.InvariantCulture));
    }

    // Threads started later are excluded by their parents: event-fork and function-fork hand the exclusion on.
    private void ExcludeOwnThreads(GuestNotes notes)
    {
        string threads = string.Join(' ', Array.ConvertAll(Directory.GetDirectories("/proc/self/task"), Path.GetFileName));
        bool excluded = _files.TryWrite("options/event-fork", "1") == 0 & _files.TryWrite("set_event_notrace_pid", threads) == 0;
        if (!excluded)
        {
            notes.Add("this kernel cannot exclude the agent's own threads from its events");
        }
        // Only there with the function tracer built in, and then only that needs it.
        if (_files.Has("set_ftrace_notrace_pid"))
        {
            _files.TryWrite("options/function-fork", "1");
            _files.Write("set_ftrace_notrace_pid", threads);
        }
    }
}
