using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.Storage;

/// <summary>How <see cref="VcpuStream.Append"/> ended.</summary>
internal enum AppendState
{
    /// <summary>All whole records are stored.</summary>
    Stored,

    /// <summary>The stream cannot be followed further.</summary>
    Malformed,

    /// <summary>The disk takes no more; what was not consumed can be given again later.</summary>
    DiskFull,
}

/// <summary>
/// One vCPU's stream of one boot: its open segment and its account. A bulk loop appends, admission settles, housekeeping rotates: each call takes the stream's own
/// lock, which is all but never contended.
/// </summary>
internal sealed unsafe class VcpuStream
{
    private readonly Lock _gate = new();
    private readonly BootStore _boot;
    private readonly string _folder;
    private readonly StoreLimits _limits;
    private readonly StreamAccount _account;
    private SegmentWriter? _segment;
    private long _lastRingLine = long.MinValue / 2;

    /// <summary>Recovers what a dead collector left open, which reads those files once.</summary>
    public VcpuStream(BootStore boot, int vcpu, StoreLimits limits)
    {
        _boot = boot;
        _limits = limits;
        Vcpu = vcpu;
        Name = StorePaths.StreamName(vcpu);
        _folder = StorePaths.Vcpu(boot.Folder, vcpu);
        Directory.CreateDirectory(_folder);
        LossTotals lost = boot.ReadLosses(Name);
        ulong events = SegmentRecovery.Recover(_folder, boot.Worker);
        _account = new StreamAccount(boot.Record.Rings.GetValueOrDefault(Name), events + lost.RetentionEvents, lost.TransportEvents, lost.RingEvents);
    }

    public int Vcpu { get; }

    public string Name { get; }

    public RateMeter Rate { get; } = new();

    /// <summary>Sub-buffers whose events could not be walked to their end. They are stored as they came.</summary>
    public long Anomalies { get; private set; }

    public RingRecord? Ring
    {
        get
        {
            lock (_gate)
            {
                return _account.Ring;
            }
        }
    }

    /// <summary>Bytes in the open segment.</summary>
    public long OpenBytes
    {
        get
        {
            lock (_gate)
            {
                return _segment?.Written ?? 0;
            }
        }
    }

    /// <summary>When the open segment was begun (<see cref="Environment.TickCount64"/>), or null.</summary>
    public long? OpenSince
    {
        get
        {
            lock (_gate)
            {
                return _segment?.Opened;
            }
        }
    }

    public (ulong Stored, ulong RingLost, ulong TransportLost) Figures
    {
        get
        {
            lock (_gate)
            {
                return (_account.Stored, _account.RingLost, _account.TransportLost);
            }
        }
    }

    /// <summary>Cuts received bytes into records and stores every whole one, in as few writes as can be.</summary>
    /// <param name="consumed">Bytes that are done with.</param>
    public AppendState Append(byte* received, int bytes, int subBufferBytes, out int consumed)
    {
        lock (_gate)
        {
            consumed = 0;
            Run run = default;
            while (true)
            {
                BulkRecordState state = BulkRecord.TryTake(
                    new ReadOnlySpan<byte>(received + consumed + run.Bytes, bytes - consumed - run.Bytes), subBufferBytes, out int prefix, out int length, out SubBuffer header);
                bool whole = state == BulkRecordState.Whole;
                bool extends = whole && prefix == 0 && (run.Slots == 0 || run.Slots < Room(subBufferBytes));
                if (!extends && run.Slots > 0)
                {
                    if (!WriteRun(received + consumed, subBufferBytes, ref run, ref consumed))
                    {
                        return AppendState.DiskFull;
                    }
                    if (whole)
                    {
                        continue;
                    }
                }
                if (!whole)
                {
                    return state == BulkRecordState.Malformed ? AppendState.Malformed : AppendState.Stored;
                }
                if (run.Slots == 0 && !EnsureSegment(header.TimeStamp, subBufferBytes))
                {
                    return AppendState.DiskFull;
                }
                byte* record = received + consumed + run.Bytes + prefix;
                int events = Count(record, header);
                if (prefix > 0)
                {
                    if (_segment!.WriteTail(record, length) != 0)
                    {
                        return AppendState.DiskFull;
                    }
                    Book(events, header.TimeStamp, length);
                    consumed += prefix + length;
                }
                else
                {
                    run.Add(events, header.TimeStamp, subBufferBytes);
                }
            }
        }
    }

    /// <summary>A bulk Hello, at a moment when nothing of this stream is on its way: declares what is missing, and begins a new generation if it is one.</summary>
    /// <returns>False when the guest's figures cannot be.</returns>
    public bool Settle(in BulkHello hello)
    {
        lock (_gate)
        {
            if (_account.Ring?.Generation != hello.Generation)
            {
                SettleAsHeard(force: true);
                _boot.SetRing(Name, _account.Begin(hello.Generation, hello.SubBufferBytes));
            }
            bool heard = _account.Hear(hello.Generation, hello.ReadEvents, hello.LostEvents);
            bool surplus = heard && _account.IsSurplus;
            SettleAsHeard(force: true);
            return heard && !surplus;
        }
    }

    /// <summary>Counters that came on control while the stream may be running: only the ring's loss can be told from them.</summary>
    public bool Hear(in StreamCounters counters)
    {
        lock (_gate)
        {
            bool heard = _account.Hear(counters.Generation, counters.ReadEvents, counters.LostEvents);
            DeclareRing(force: false);
            return heard;
        }
    }

    /// <summary>The stream's connection is drained and gone: declares what the last figures heard make known.</summary>
    public void SettleEnded()
    {
        lock (_gate)
        {
            SettleAsHeard(force: true);
        }
    }

    /// <summary>Closes the open segment if it is older than <paramref name="age"/>. Reading goes on meanwhile.</summary>
    public void RotateOlderThan(TimeSpan age)
    {
        lock (_gate)
        {
            if (_segment is not null && Environment.TickCount64 - _segment.Opened >= age.TotalMilliseconds)
            {
                CloseSegment();
            }
        }
    }

    private long Room(int subBufferBytes) => Math.Max(1, _limits.SegmentBytes / subBufferBytes) - _segment!.Slots;

    private bool EnsureSegment(ulong firstTimeStamp, int subBufferBytes)
    {
        if (_segment is not null && (_segment.SubBufferBytes != subBufferBytes || Room(subBufferBytes) <= 0))
        {
            CloseSegment();
        }
        return _segment is not null || SegmentWriter.Create(_folder, firstTimeStamp, subBufferBytes, out _segment) == 0;
    }

    private void CloseSegment()
    {
        SegmentWriter closing = _segment!;
        _segment = null;
        if (closing.Slots == 0)
        {
            File.Delete(closing.FilePath);
            closing.Dispose();
            return;
        }
        _boot.CloseLater(closing.FilePath, closing.Close);
    }

    private bool WriteRun(byte* first, int subBufferBytes, ref Run run, ref int consumed)
    {
        int written = _segment!.Write(first, run.Slots, out int error);
        if (error != 0)
        {
            // Rare: the events of the part that was written are counted once more.
            Run part = default;
            for (int i = 0; i < written; i++)
            {
                byte* at = first + (long)i * subBufferBytes;
                SubBuffer header = new(new ReadOnlySpan<byte>(at, SubBuffer.HeaderBytes));
                part.Add(Count(at, header), header.TimeStamp, subBufferBytes);
            }
            run = part;
        }
        if (run.Slots > 0)
        {
            Book(run.Events, run.LastTimeStamp, run.Bytes);
            consumed += run.Bytes;
        }
        run = default;
        return error == 0;
    }

    private void Book(long events, ulong lastTimeStamp, int bytes)
    {
        _segment!.Account(events, lastTimeStamp);
        _account.AddStored(events);
        Rate.Add(bytes, events);
    }

    private int Count(byte* subBuffer, in SubBuffer header)
    {
        if (!SubBufferEvents.TryCount(new ReadOnlySpan<byte>(subBuffer + SubBuffer.HeaderBytes, header.DataBytes), out int events))
        {
            Anomalies++;
        }
        return events;
    }

    private void SettleAsHeard(bool force)
    {
        ulong lost = _account.SettleTransport();
        if (lost > 0)
        {
            _boot.Declare(LossSources.Transport, Name, (long)lost);
        }
        DeclareRing(force);
    }

    private void DeclareRing(bool force)
    {
        long now = Environment.TickCount64;
        if (!force && now - _lastRingLine < _boot.LossLineInterval.TotalMilliseconds)
        {
            return;
        }
        ulong lost = _account.SettleRing();
        if (lost > 0)
        {
            _lastRingLine = now;
            _boot.Declare(LossSources.Ring, Name, (long)lost);
        }
    }

    /// <summary>Whole sub-buffers that lie one after the other and go out in one write.</summary>
    private struct Run
    {
        public int Slots;
        public int Bytes;
        public long Events;
        public ulong LastTimeStamp;

        public void Add(int events, ulong timeStamp, int bytes)
        {
            Slots++;
            Bytes += bytes;
            Events += events;
            LastTimeStamp = timeStamp;
        }
    }
}
