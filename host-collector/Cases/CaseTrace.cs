using VsockPair.Clocks;
using VsockPair.Commands;
using VsockPair.Export;
using VsockPair.History;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>
/// The trace of a boot as a case has it: the stored stream, and after it what the guest's memory held and nobody had read (<see cref="MemoryTrace"/>), as one recording; of a
/// vCPU whose memory was not read, what the guest's persistent ring kept, which is fewer kinds of events. No event is there twice, and what was read from the ring and never stored is a loss of transport between the two, in events.
/// </summary>
internal sealed class CaseTrace
{
    private readonly StoredGuest _guest;
    private readonly ClockModel? _clock;

    private CaseTrace(StoredGuest guest, BootRecording recording, LossMap losses, ClockModel? clock, IReadOnlyCollection<Join> joins)
    {
        _guest = guest;
        Recording = recording;
        Losses = losses;
        _clock = clock;
        MemoryEvents = joins.Sum(j => j.MemoryEvents);
        HasPersistentRing = joins.Any(j => j.HasPersistentRing);
    }

    public BootRecording Recording { get; }

    public LossMap Losses { get; }

    /// <summary>Events of the recording that come from memory; 0 when the stream has all.</summary>
    public long MemoryEvents { get; }

    /// <summary>Whether events of the recording come from the persistent ring.</summary>
    public bool HasPersistentRing { get; }

    /// <param name="caseFolder">Of a case that may have a folder <c>memory/</c>.</param>
    public static CaseTrace Open(StoredGuest guest, StoredBoot boot, string caseFolder, ClockModel? clock, TextWriter remarks)
    {
        Dictionary<int, (MemoryRing Ring, SegmentFile[] Segments)> memory = MemoryTrace.Read(caseFolder).ToDictionary(m => m.Ring.Vcpu);
        Dictionary<int, VcpuRecording> persistent = PersistentRing(guest, boot)?.Vcpus.ToDictionary(v => v.Number) ?? [];
        Join[] joins =
        [
            .. BootRecording.NumbersOf(boot).Union(memory.Keys).Union(persistent.Keys).Order()
                .Select(n => new Join(boot, n, memory.TryGetValue(n, out (MemoryRing, SegmentFile[]) found) ? found : null, persistent.GetValueOrDefault(n))),
        ];
        // The ledgers after the streams: what retention takes meanwhile is in them.
        LossMap losses = LossMap.Load(guest, BootRecording.Of(boot, [.. joins.Select(j => j.Recording).OfType<VcpuRecording>()]), clock, remarks);
        foreach (Join join in joins)
        {
            join.Settle(losses);
        }
        return new CaseTrace(guest, BootRecording.Of(boot, [.. joins.Select(j => j.Recording).OfType<VcpuRecording>()]), losses, clock, joins);
    }

    /// <summary>For an export of all formats.</summary>
    public ExportSource Source(string store, TraceRange range) => new()
    {
        Guest = _guest,
        Recording = Recording,
        Range = range,
        Losses = Losses,
        Metadata = new BootMetadata(store, Recording.Boot),
        Clock = _clock,
    };

    /// <summary>Null unless the ring says that it is of this boot and stamps with the same clock.</summary>
    private static BootRecording? PersistentRing(StoredGuest guest, StoredBoot boot) => guest.Boots
        .Select(PreviousTrace.TryOpen).OfType<PreviousTrace>()
        .Where(found => boot.Record is BootRecord record && found.BootId == record.BootId && found.Clock == record.Clock)
        .Select(found => BootRecording.OpenPrevious(boot, found.Finder)).FirstOrDefault();

    /// <summary>One vCPU's stream and memory.</summary>
    private sealed class Join
    {
        private readonly int _vcpu;
        private readonly VcpuRecording? _stream;
        private readonly ulong _stored;
        private readonly RingRecord? _generation;
        private readonly MemoryRing? _ring;
        private readonly SegmentFile[] _segments;

        public Join(StoredBoot boot, int vcpu, (MemoryRing Ring, SegmentFile[] Segments)? memory, VcpuRecording? persistent)
        {
            _vcpu = vcpu;
            _stream = VcpuRecording.TryOpen(StorePaths.Vcpu(boot.Folder, vcpu), vcpu);
            _ring = memory?.Ring;
            _segments = memory?.Segments ?? [];
            _stored = _ring is null ? 0 : (ulong)(_stream?.CountEvents() ?? 0);
            _generation = DurableFile.TryRead(StorePaths.Ring(boot.Folder, vcpu), StoreJson.Default.RingRecord);
            Recording = _ring is null ? WithPersistent(persistent) : WithMemory(0, default);
        }

        /// <summary>Null when there is nothing of this vCPU.</summary>
        public VcpuRecording? Recording { get; private set; }

        public long MemoryEvents { get; private set; }

        public bool HasPersistentRing { get; private set; }

        /// <summary>Finds where the memory goes on from the stream.</summary>
        public void Settle(LossMap losses)
        {
            if (Recording is null || _ring is null)
            {
                return;
            }
            VcpuLosses declared = losses.Of(Recording);
            ulong accounted = Saturating.Add(_stored, (ulong)Saturating.Add(declared.Transport, declared.Retention));
            ulong taken = Saturating.Add(_generation?.ReadEventsBefore ?? 0, _ring.TakenEvents);
            // Otherwise the guest went on after its memory was read, or this is another generation of the ring than the host has heard of: then times decide.
            bool streamEndsFirst = (_generation is not null || _stream is null) && accounted <= taken;
            if (streamEndsFirst)
            {
                declared.RingIs((long)Math.Min(Saturating.Add(_generation?.LostEventsBefore ?? 0, _ring.LostEvents), long.MaxValue));
            }
            ulong newest = _stream?.Newest ?? 0;
            // By the account an event of the same nanosecond as the newest stored one is another one.
            ulong from = streamEndsFirst ? newest : Saturating.Add(newest, 1);
            (ulong oldestKept, MemoryEvents) = Kept(from);
            EventLoss between = streamEndsFirst ? Events(taken - accounted)
                : MemoryEvents > 0 && OldestInMemory == oldestKept ? new EventLoss(true, null) : default;
            Recording = MemoryEvents > 0 ? WithMemory(from, between) : _stream;
            if (between.Any)
            {
                declared.AddTransport(between, MemoryEvents > 0 ? null : newest);
            }
            if (_ring.LostAtEnd != 0 && (streamEndsFirst || MemoryEvents > 0))
            {
                declared.AddTransport(new EventLoss(true, (ulong?)_ring.LostAtEnd), Recording?.Newest);
            }
        }

        private ulong OldestInMemory => Kept(0).Oldest;

        private VcpuRecording? WithMemory(ulong from, EventLoss loss) => _segments.Length == 0 ? _stream : VcpuRecording.Join(_vcpu, _stream, _segments, from, loss);

        /// <summary>What is later than the stream: how many other events there were then, nobody knows.</summary>
        private VcpuRecording? WithPersistent(VcpuRecording? persistent)
        {
            ulong newest = _stream?.Newest ?? 0;
            HasPersistentRing = persistent?.Newest > newest;
            return HasPersistentRing ? VcpuRecording.Join(_vcpu, _stream, persistent!.Segments, Saturating.Add(newest, 1), new EventLoss(true, null)) : _stream;
        }

        /// <summary>Events of the memory at or after a time.</summary>
        private (ulong Oldest, long Events) Kept(ulong from)
        {
            long events = 0;
            ulong oldest = 0;
            if (_segments.Length > 0)
            {
                using VcpuEvents walk = new(VcpuRecording.Join(_vcpu, null, _segments, from, default).Read(TraceRange.All, []));
                while (walk.TryReadNext())
                {
                    oldest = events++ == 0 ? walk.TimeStamp : oldest;
                }
            }
            return (oldest, events);
        }

        private static EventLoss Events(ulong count) => count == 0 ? default : new EventLoss(true, count);
    }
}
