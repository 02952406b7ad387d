using VsockPair.History;
using VsockPair.Protocol;
using VsockPair.Sessions;
using VsockPair.Tracing;

namespace VsockPair.Storage;

/// <summary>
/// One vCPU's stream of one boot: its open segment and its account. A bulk loop appends, admission settles, housekeeping rotates: each call takes the stream's own
/// lock, which is all but never contended.
/// </summary>
internal sealed unsafe class VcpuStream
{
    /// <summary>A tail's slot may be this many times as large, in a file that is hashed with its holes, as what is charged for it.</summary>
    private const int SlotBytesPerCharge = 16;

    /// <summary>Charges that one call may run up before the guest's budget is asked again.</summary>
    private const int MostChargedAtOnce = 1 << 20;

    /// <summary>What a segment costs beside its bytes, in bytes: two files, hashing, and one day a line of retention's. Without it a guest could make a hundred a second.</summary>
    private const int SegmentCharge = 256 << 10;

    /// <summary>How long nothing is tried after an error of this stream's own. Doubled with each that follows on it, up to the longest.</summary>
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private readonly BootStore _boot;
    private readonly string _folder;
    private readonly StoreLimits _limits;
    private readonly StreamAccount _account;
    private SegmentWriter? _segment;
    private long _lastRingLine = long.MinValue / 2;
    private long _mayStoreFrom;
    private TimeSpan _pause = FirstPause;
    private ulong _nextName;
    private RingRecord? _unsavedRing;
    private readonly PendingLoss _transport;
    private readonly PendingLoss _ring;
    private ulong? _newest;

    /// <summary>Recovers what a dead collector left open, which reads those files once.</summary>
    public VcpuStream(BootStore boot, int vcpu, StoreLimits limits)
    {
        _boot = boot;
        _limits = limits;
        Vcpu = vcpu;
        Name = StorePaths.StreamName(vcpu);
        _transport = new PendingLoss(LossSources.Transport, Name);
        _ring = new PendingLoss(LossSources.Ring, Name);
        _folder = StorePaths.Vcpu(boot.Folder, vcpu);
        Directory.CreateDirectory(_folder);
        LossTotals lost = boot.ReadLosses(Name);
        ulong events = SegmentRecovery.Recover(_folder, boot.PostClosing);
        _newest = SegmentFile.NewestIn(_folder);
        _account = new StreamAccount(DurableFile.TryRead(StorePaths.Ring(boot.Folder, vcpu), StoreJson.Default.RingRecord), Saturating.Add(events, lost.RetentionEvents), lost.TransportEvents, lost.RingEvents);
    }

    /// <summary>Here, so that it goes with the stream.</summary>
    public BulkSlot Slot { get; } = new();

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

    /// <summary>Whether anything may be stored now: not while too many segments of this guest wait to be closed, nor for some time after an error.</summary>
    public bool MayStore => !_boot.IsBehindWithClosing && Environment.TickCount64 >= Volatile.Read(ref _mayStoreFrom);

    /// <summary>What the open segment takes on the disk.</summary>
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

    /// <summary>Whether all that is known of it is on the disk, and its files closed or given to the storage thread.</summary>
    public bool IsComplete
    {
        get
        {
            lock (_gate)
            {
                return _segment is null && _unsavedRing is null && _transport.IsEmpty && _ring.IsEmpty;
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
    /// <param name="charge">What tails cost beyond their bytes on the wire, to be paid out of the guest's budget.</param>
    public AppendState Append(byte* received, int bytes, int subBufferBytes, out int consumed, out int charge)
    {
        lock (_gate)
        {
            consumed = 0;
            charge = 0;
            int tailCharge = Math.Max(DiskSpace.PageBytes, subBufferBytes / SlotBytesPerCharge);
            Run run = default;
            while (true)
            {
                BulkRecordState found = BulkRecord.TryTake(
                    new ReadOnlySpan<byte>(received + consumed + run.Bytes, bytes - consumed - run.Bytes), subBufferBytes, out int prefix, out int length, out SubBuffer header);
                bool whole = found == BulkRecordState.Whole;
                bool extends = whole && prefix == 0 && (run.Slots == 0 || run.Slots < Room(subBufferBytes));
                if (!extends && run.Slots > 0)
                {
                    int error = WriteRun(received + consumed, subBufferBytes, ref run, ref consumed);
                    if (error != 0)
                    {
                        return NotStored(error);
                    }
                    if (whole)
                    {
                        continue;
                    }
                }
                if (!whole)
                {
                    return found == BulkRecordState.Malformed ? AppendState.Malformed : AppendState.Stored;
                }
                if (prefix > 0)
                {
                    if (charge >= MostChargedAtOnce)
                    {
                        return AppendState.Behind;
                    }
                    if (header.DataBytes == 0 && !header.Missed && !header.HasLostCount)
                    {
                        // It says nothing, and stored it would cost a slot.
                        charge += tailCharge;
                        consumed += prefix + length;
                        continue;
                    }
                }
                if (run.Slots == 0)
                {
                    SegmentWriter? before = _segment;
                    AppendState state = EnsureSegment(header.TimeStamp, subBufferBytes);
                    if (state != AppendState.Stored)
                    {
                        return state;
                    }
                    charge += _segment == before ? 0 : SegmentCharge;
                }
                byte* record = received + consumed + run.Bytes + prefix;
                int events = Count(record, header);
                if (prefix > 0)
                {
                    int error = _segment!.WriteTail(record, length);
                    if (error != 0)
                    {
                        return NotStored(error);
                    }
                    Book(events, header.TimeStamp, length);
                    charge += Math.Max(0, tailCharge - length);
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
    /// <exception cref="IOException">The generation cannot be put on record; nothing of it is declared.</exception>
    public bool Settle(in BulkHello hello)
    {
        lock (_gate)
        {
            if (_account.Ring?.Generation != hello.Generation)
            {
                SettleAsHeard(atOnce: true);
                _unsavedRing = _account.Begin(hello.Generation, hello.SubBufferBytes);
            }
            KeepLeft(0);
            // The figures that a generation begins with include the lines before it, and must not include its own: killed between the two, the collector finds the
            // lines of the older ring and begins this one again, or finds this one without lines and declares them at the next Hello.
            SaveRing();
            bool heard = _account.Hear(hello.Generation, hello.ReadEvents, hello.LostEvents);
            bool surplus = heard && _account.IsSurplus;
            SettleAsHeard(atOnce: true);
            return heard && !surplus;
        }
    }

    /// <summary>Counters that came on control while the stream may be running: only the ring's loss can be told from them.</summary>
    public bool Hear(in StreamCounters counters)
    {
        lock (_gate)
        {
            bool heard = _account.Hear(counters.Generation, counters.ReadEvents, counters.LostEvents);
            DeclareRing(atOnce: false);
            return heard;
        }
    }

    /// <summary>An agent that stops has left events in the ring.</summary>
    public void Hear(in EventsLeft left)
    {
        lock (_gate)
        {
            if (_account.Ring?.Generation == left.Generation)
            {
                KeepLeft(left.Events);
            }
        }
    }

    /// <summary>The stream's connection is drained and gone: declares what the last figures heard make known.</summary>
    public void SettleEnded()
    {
        lock (_gate)
        {
            SettleAsHeard(atOnce: true);
        }
    }

    /// <summary>The boot is over: what an agent left in the ring is gone.</summary>
    public void DeclareLeft()
    {
        lock (_gate)
        {
            ulong lost = _account.SettleLeft();
            _ring.Add(lost);
            if (lost == 0 || _ring.TryWrite(_boot, stopping: false))
            {
                KeepLeft(0);
            }
        }
    }

    /// <exception cref="IOException">The disk does not take it; the change stays for the next time.</exception>
    public void SaveRing()
    {
        lock (_gate)
        {
            if (_unsavedRing is RingRecord ring)
            {
                Directory.CreateDirectory(StorePaths.Rings(_boot.Folder));
                DurableFile.Replace(StorePaths.Ring(_boot.Folder, Vcpu), ring, StoreJson.Default.RingRecord);
                _unsavedRing = null;
            }
        }
    }

    /// <summary>Writes what was declared while the guest had no lines left.</summary>
    /// <param name="stopping">Whether there is no later.</param>
    public void WriteDeclared(bool stopping)
    {
        lock (_gate)
        {
            _transport.TryWrite(_boot, stopping);
            if (stopping || MayWriteRing)
            {
                WriteRing(stopping);
            }
        }
    }

    /// <summary>Closes the open segment if it is older than <paramref name="age"/>. Reading goes on meanwhile.</summary>
    public void RotateOlderThan(TimeSpan age)
    {
        // Many streams that began together also come of age together: those that would be too many wait their turn.
        if (age > TimeSpan.Zero && _boot.IsBehindWithClosing)
        {
            return;
        }
        lock (_gate)
        {
            if (_segment is not null && Environment.TickCount64 - _segment.Opened >= age.TotalMilliseconds)
            {
                CloseSegment();
            }
        }
    }

    private long Room(int subBufferBytes) => Math.Max(1, _limits.SegmentBytes / subBufferBytes) - _segment!.Slots;

    private AppendState EnsureSegment(ulong firstTimeStamp, int subBufferBytes)
    {
        if (_segment is not null && (_segment.SubBufferBytes != subBufferBytes || Room(subBufferBytes) <= 0))
        {
            CloseSegment();
        }
        if (_segment is not null)
        {
            return AppendState.Stored;
        }
        if (!MayStore)
        {
            return AppendState.Behind;
        }
        int error = SegmentWriter.Create(_folder, firstTimeStamp, ref _nextName, subBufferBytes, out _segment);
        return error == 0 ? AppendState.Stored : NotStored(error);
    }

    /// <summary>
    /// Only a full disk is everybody's. A folder that is gone (ENOENT), no right to it (EACCES), a bad block (EIO), no descriptor (EMFILE): whatever else goes wrong may be
    /// this stream's alone, and no other may wait for it.
    /// </summary>
    private AppendState NotStored(int error)
    {
        if (DiskReserve.IsFull(error))
        {
            return AppendState.DiskFull;
        }
        _boot.ReportNotStored(Name, -error);
        Volatile.Write(ref _mayStoreFrom, Environment.TickCount64 + (long)_pause.TotalMilliseconds);
        _pause = TimeSpan.FromTicks(Math.Min(2 * _pause.Ticks, LongestPause.Ticks));
        return AppendState.Behind;
    }

    private void CloseSegment()
    {
        SegmentWriter closing = _segment!;
        _segment = null;
        if (closing.Slots == 0)
        {
            closing.Dispose();
            StoredFile.Delete(closing.FilePath);
            return;
        }
        _boot.CloseLater(closing.FilePath, closing.Written, isKmsg: false, closing.Close);
    }

    /// <returns>0, or the negative error number that ended the write early.</returns>
    private int WriteRun(byte* first, int subBufferBytes, ref Run run, ref int consumed)
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
        return error;
    }

    private void Book(long events, ulong lastTimeStamp, int bytes)
    {
        _pause = FirstPause;
        _segment!.Account(events, lastTimeStamp);
        _newest = lastTimeStamp;
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

    private void KeepLeft(ulong events)
    {
        if (_account.Leave(events) is RingRecord ring)
        {
            _unsavedRing = ring;
            if (events > 0)
            {
                _boot.KeepEventsLeft();
            }
        }
    }

    private bool MayWriteRing => Environment.TickCount64 - _lastRingLine >= _boot.LossLineInterval.TotalMilliseconds;

    private void SettleAsHeard(bool atOnce)
    {
        _transport.Add(_account.SettleTransport(), _newest);
        _transport.TryWrite(_boot, stopping: false);
        DeclareRing(atOnce);
    }

    private void DeclareRing(bool atOnce)
    {
        _ring.Add(_account.SettleRing());
        if (atOnce || MayWriteRing)
        {
            WriteRing(stopping: false);
        }
    }

    private void WriteRing(bool stopping)
    {
        if (_ring.TryWrite(_boot, stopping))
        {
            _lastRingLine = Environment.TickCount64;
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
