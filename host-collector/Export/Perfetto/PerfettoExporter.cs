using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using VsockPair.Clocks;
using VsockPair.Commands;
using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.Export.Perfetto;

/// <summary>
/// A Perfetto trace. One machine per boot; ftrace events in bundles per vCPU; the number of lost events, which Perfetto's model of ftrace cannot hold, as instant events on
/// a track of their own; the kernel log as Android's log packets, which know it, or on a track as well where nothing places the boot in real time, as those need.
/// </summary>
internal sealed class PerfettoExporter : EventExporter
{
    private const int MostClockPairs = 4096;

    /// <summary>By the kernel's numbers, and what Android has for them: FATAL 7 to DEBUG 3.</summary>
    private static readonly string[] Levels = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
    private static readonly ulong[] Priorities = [7, 7, 7, 6, 5, 4, 4, 3];

    private readonly SortedDictionary<int, FtraceBundle> _bundles = [];
    private readonly Dictionary<int, FtraceBundle.Shape> _shapes = [];
    private readonly ProtoWriter _message = new();
    private readonly Dictionary<int, ulong> _read = [];
    private ExportSource _source = null!;
    private EventCatalog _catalog = null!;
    private PacketWriter _packets = null!;
    private ulong _trackBase;
    private ulong _last;

    private ulong LossTrack => _trackBase + 1;

    private ulong LogTrack => _trackBase + 2;

    protected override void Begin(ExportSource source, EventCatalog catalog, Stream target)
    {
        _source = source;
        _catalog = catalog;
        byte[] id = TraceDatExporter.IdOf(source.Boot);
        _trackBase = BinaryPrimitives.ReadUInt64LittleEndian(id) & ~0xFUL;
        // 0 would be the host.
        _packets = new PacketWriter(target, BinaryPrimitives.ReadUInt32LittleEndian(id) | 1, catalog.Symbols);
        WriteSystem();
        WriteClocks();
        WriteThreads();
        WriteTrack(LossTrack, "lost events");
        WriteLog();
        WriteStats(PerfettoFields.Stats.StartOfTrace);
    }

    protected override void WriteEvent(int vcpu, in RingEvent ringEvent, in RingEvent next)
    {
        _last = ringEvent.TimeStamp;
        CollectionsMarshal.GetValueRefOrAddDefault(_read, vcpu, out _)++;
        BundleOf(vcpu).Add(_source.Times.Stamp(ringEvent));
    }

    protected override void WriteLoss(int vcpu, ulong? before, EventLoss loss)
    {
        BundleOf(vcpu).MarkLoss();
        string count = loss switch
        {
            { Events: null } or { Events: 0, IsMore: true } => "an unknown number of events",
            { Events: 0 } => "a part of the events told of before",
            _ => string.Create(CultureInfo.InvariantCulture, $"{(loss.IsMore ? "at least " : "")}{loss.Events} events"),
        };
        WriteInstant(LossTrack, before ?? _last, "loss", Encoding.ASCII.GetBytes($"{count} lost on cpu{vcpu}"));
    }

    protected override void End()
    {
        foreach (FtraceBundle bundle in _bundles.Values)
        {
            bundle.Flush();
        }
        WriteStats(PerfettoFields.Stats.EndOfTrace);
    }

    private FtraceBundle BundleOf(int vcpu)
    {
        if (!_bundles.TryGetValue(vcpu, out FtraceBundle? bundle))
        {
            bundle = new FtraceBundle(vcpu, _catalog, _packets, _shapes);
            _bundles.Add(vcpu, bundle);
        }
        return bundle;
    }

    private void WriteSystem()
    {
        _message.Clear();
        int utsname = _message.Begin(PerfettoFields.System.Utsname);
        _message.Text(PerfettoFields.System.UtsnameSysname, "Linux");
        _message.Text(PerfettoFields.System.UtsnameRelease, _source.Boot.Record?.Kernel ?? "");
        _message.End(utsname);
        _message.Number(PerfettoFields.System.CpuCount, (ulong)Math.Max(0, _source.Boot.Record?.Cpus ?? 0));
        _message.Text(PerfettoFields.System.MachineName, _source.Guest.Name);
        _packets.Write(PerfettoFields.Packet.SystemInfo, _message.Bytes);
    }

    /// <summary>
    /// Pairs of what the time stamps show and host time: Perfetto converts between them piece by piece. Stamps on the host's clock stand for the boot clock as well, which
    /// Perfetto takes ftrace to be on.
    /// </summary>
    private void WriteClocks()
    {
        if (_source.Clock is null)
        {
            return;
        }
        (long from, long to) = _source.ClockStretch;
        foreach ((long moment, long offset) in ClockMoments.Of(_source.Clock.RealTime, from, to, MostClockPairs))
        {
            long host = moment + offset;
            long boot = (long)_source.Times.Stamp((ulong)moment);
            _message.Clear();
            WriteClock(PerfettoFields.Clock.BootTime, boot);
            WriteClock(PerfettoFields.Clock.RealTime, host);
            _message.Number(PerfettoFields.Clock.PrimaryTraceClock, PerfettoFields.Clock.BootTime);
            _packets.Write(PerfettoFields.Packet.ClockSnapshot, _message.Bytes);
        }
    }

    private void WriteClock(ulong id, long nanoseconds)
    {
        int clock = _message.Begin(PerfettoFields.Clock.Clocks);
        _message.Number(PerfettoFields.Clock.Id, id);
        _message.Number(PerfettoFields.Clock.Timestamp, nanoseconds);
        _message.End(clock);
    }

    /// <summary>Threads whose name or process is known; one whose process is not known stands as a process of its own.</summary>
    private void WriteThreads()
    {
        _message.Clear();
        IReadOnlyDictionary<int, byte[]> names = _catalog.CommandLines.Names;
        ThreadGroups groups = _catalog.ThreadGroups;
        int[] threads = [.. names.Keys.Union(groups.Processes.Keys)];
        foreach (int pid in threads.Select(groups.ProcessOf).Distinct())
        {
            int process = _message.Begin(PerfettoFields.Processes.Process);
            _message.Number(PerfettoFields.Processes.ProcessPid, (long)pid);
            if (names.TryGetValue(pid, out byte[]? name))
            {
                _message.Text(PerfettoFields.Processes.ProcessCommandLine, name);
            }
            _message.End(process);
        }
        foreach (int tid in threads)
        {
            int thread = _message.Begin(PerfettoFields.Processes.Thread);
            _message.Number(PerfettoFields.Processes.ThreadTid, (long)tid);
            // Where there is none, Perfetto takes it from the scheduler's events.
            if (names.TryGetValue(tid, out byte[]? name))
            {
                _message.Text(PerfettoFields.Processes.ThreadName, name);
            }
            _message.Number(PerfettoFields.Processes.ThreadTgid, (long)groups.ProcessOf(tid));
            _message.End(thread);
        }
        if (_message.Length > 0)
        {
            _packets.Write(PerfettoFields.Packet.ProcessTree, _message.Bytes, _source.Times.Stamp((ulong)_source.ClockStretch.From));
        }
    }

    private void WriteLog()
    {
        if (_source.Clock is null)
        {
            WriteTrack(LogTrack, "kernel log");
        }
        ulong from = Math.Max(_source.Range.From, _source.Recording.Oldest ?? 0);
        ulong to = Math.Min(_source.Range.To, _source.Recording.Newest ?? 0);
        using KmsgLog log = new(_source.Boot);
        log.Seek(_source.Clock?.LocalAtBoot((long)Math.Min(from, long.MaxValue)) ?? (long)Math.Min(from, long.MaxValue));
        log.ReadOn(new LogSink(_source.Clock, from, to, WriteRecord), settled: true);
    }

    private void WriteRecord(ulong time, int level, ReadOnlySpan<byte> text)
    {
        if (_source.Clock is null)
        {
            WriteInstant(LogTrack, time, Levels[level], text);
            return;
        }
        _message.Clear();
        int record = _message.Begin(PerfettoFields.Log.Event);
        _message.Number(PerfettoFields.Log.Id, PerfettoFields.Log.Kernel);
        _message.Number(PerfettoFields.Log.Timestamp, _source.Clock.HostAtBoot((long)Math.Min(time, long.MaxValue)).Nanoseconds);
        _message.Text(PerfettoFields.Log.Tag, Levels[level]);
        _message.Number(PerfettoFields.Log.Priority, Priorities[level]);
        _message.Text(PerfettoFields.Log.Message, text);
        _message.End(record);
        _packets.Write(PerfettoFields.Packet.AndroidLog, _message.Bytes);
    }

    /// <summary>The kernel's own counters at the end, of the whole boot, but for what was read, which is what was exported. At the beginning all are zero.</summary>
    private void WriteStats(ulong phase)
    {
        _message.Clear();
        _message.Number(PerfettoFields.Stats.Phase, phase);
        foreach (VcpuRecording vcpu in _source.Recording.Vcpus)
        {
            bool isEnd = phase == PerfettoFields.Stats.EndOfTrace;
            int cpu = _message.Begin(PerfettoFields.Stats.Cpus);
            _message.Number(PerfettoFields.Stats.Cpu, (ulong)vcpu.Number);
            _message.Number(PerfettoFields.Stats.Entries, 0UL);
            _message.Number(PerfettoFields.Stats.Overrun, isEnd ? _source.Losses.Of(vcpu).Ring : 0);
            _message.Number(PerfettoFields.Stats.ReadEvents, isEnd ? _read.GetValueOrDefault(vcpu.Number) : 0);
            _message.End(cpu);
        }
        _packets.Write(PerfettoFields.Packet.FtraceStats, _message.Bytes);
    }

    private void WriteTrack(ulong track, string name)
    {
        _message.Clear();
        _message.Number(PerfettoFields.Track.Uuid, track);
        _message.Text(PerfettoFields.Track.Name, name);
        _packets.Write(PerfettoFields.Packet.TrackDescriptor, _message.Bytes);
    }

    private void WriteInstant(ulong track, ulong time, string category, ReadOnlySpan<byte> text)
    {
        _message.Clear();
        _message.Number(PerfettoFields.Track.EventType, PerfettoFields.Track.Instant);
        _message.Number(PerfettoFields.Track.EventTrack, track);
        _message.Text(PerfettoFields.Track.EventCategory, category);
        _message.Text(PerfettoFields.Track.EventName, text);
        _packets.Write(PerfettoFields.Packet.TrackEvent, _message.Bytes, _source.Times.Stamp(time));
    }

    private delegate void RecordWriter(ulong time, int level, ReadOnlySpan<byte> text);

    /// <summary>Records of the kernel log in the range of the trace.</summary>
    private sealed class LogSink(ClockModel? clock, ulong from, ulong to, RecordWriter write) : IKmsgSink
    {
        public bool Take(in KmsgRecord record)
        {
            // Without a sample the two clocks of the guest are close: both begin with the boot.
            ulong time = (ulong)Math.Max(0, clock?.BootAtLocal(record.Nanoseconds).Nanoseconds ?? record.Nanoseconds);
            if (time > to)
            {
                return time - to < KmsgChoice.Disorder;
            }
            if (time >= from)
            {
                byte[] text = new byte[record.Text.Length];
                write(time, (int)(record.Priority & 7), text.AsSpan(0, KmsgRecord.Unescape(record.Text, text)));
            }
            return true;
        }

        public void TakeDamaged(long bytes)
        {
        }
    }
}
