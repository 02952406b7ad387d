using VsockPair.Commands;
using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.History;

/// <summary>
/// The sub-buffers of one vCPU as the collector stores them, over the rotation, compression and removal of segments. Nothing waits in memory but one slot: what is not
/// read yet stays in the files.
/// </summary>
/// <param name="removed">What retention removed of this vCPU between two times of the trace clock, both not included.</param>
internal sealed class FollowingReader(StoredBoot boot, int vcpu, TimeProvider time, Func<ulong, ulong, EventLoss> removed) : ISubBufferSource
{
    /// <summary>Slots that <see cref="SeekEnd"/> looks back over. A tail may hold a single event.</summary>
    private const int MostSlotsBack = 64;

    /// <summary>A folder's time stamp moves in steps of some milliseconds: two changes within this may have the same.</summary>
    private static readonly TimeSpan StampStep = TimeSpan.FromSeconds(1);

    private readonly string _folder = StorePaths.Vcpu(boot.Folder, vcpu);
    private readonly SlotBuffer _slot = new();
    private SegmentFile[] _listed = [];
    private DateTime _listedStamp;
    private bool _listingHolds;

    /// <summary>The segment that is read, or was last.</summary>
    private SegmentFile? _file;
    private ISegmentReader? _segment;
    private long _next;

    /// <summary>Trace clock up to which nothing is missing that retention could have taken.</summary>
    private ulong _readUpTo;
    private EventLoss _passedOver;
    private EventLoss _pending;

    /// <summary>Where <see cref="LookAhead"/> has looked.</summary>
    private SegmentFile? _newestFile;
    private long _slotsSeen;
    private byte[] _ahead = [];

    public int Vcpu => vcpu;

    public Span<byte> SubBuffer => _slot.Bytes;

    /// <summary>What retention took before it was read, and what is damaged.</summary>
    public EventLoss Loss { get; private set; }

    public Damage Damage { get; private set; }

    /// <summary>All that retention took before it was read, since the last call.</summary>
    public EventLoss TakePassedOver()
    {
        EventLoss taken = _passedOver;
        _passedOver = default;
        return taken;
    }

    /// <summary>Trace clock of the newest stored event, as far as <see cref="LookAhead"/> has looked.</summary>
    public ulong Newest { get; private set; }

    /// <summary>Goes on shortly before the end of what is stored.</summary>
    /// <returns>Times of events there, oldest first, at least <paramref name="events"/> where there are as many close to the end.</returns>
    public IReadOnlyList<ulong> SeekEnd(int events)
    {
        List<ulong> times = [];
        SegmentFile[] files = List();
        for (int i = files.Length - 1; i >= Math.Max(0, files.Length - VcpuRecording.MostEmptySegments) && _segment is not { Slots: > 0 }; i--)
        {
            _segment?.Dispose();
            _file = files[i];
            _segment = files[i].TryOpen();
        }
        if (_segment is null)
        {
            return times;
        }
        _slot.Resize(_file!.SubBufferBytes);
        _next = _segment.Slots;
        for (int back = 0; back < MostSlotsBack && _next > 0 && times.Count < events; back++)
        {
            _next--;
            if (_slot.TryRead(_segment, _next))
            {
                times.InsertRange(0, TimesIn(_slot.Bytes));
            }
        }
        return times;
    }

    /// <summary>Looks at the end of what is stored, without reading what is before it.</summary>
    public void LookAhead()
    {
        SegmentFile? last = List().LastOrDefault();
        if (last is null)
        {
            return;
        }
        if (last == _file && _segment is not null)
        {
            _segment.Refresh();
            LookAt(_segment, last);
        }
        else
        {
            using ISegmentReader? ahead = last.TryOpen();
            if (ahead is not null)
            {
                LookAt(ahead, last);
            }
        }
    }

    public bool TryReadNext()
    {
        Loss = default;
        while (true)
        {
            while (_segment is not null && _next < _segment.Slots)
            {
                if (_slot.TryRead(_segment, _next++))
                {
                    _readUpTo = Math.Max(_readUpTo, new Tracing.SubBuffer(_slot.Bytes).TimeStamp);
                    Loss = _pending;
                    _pending = default;
                    if (_slot.IsCut)
                    {
                        TakeDamage(_file!);
                    }
                    return true;
                }
                TakeDamage(_file!);
            }
            if (!TryGoOn())
            {
                return false;
            }
        }
    }

    public void Dispose() => _segment?.Dispose();

    /// <returns>Whether there may be more.</returns>
    private bool TryGoOn()
    {
        // Before the look at the length: a segment with a successor grows no more, so that its end is its end.
        SegmentFile? successor = List().FirstOrDefault(f => _file is null || f.First > _file.First);
        _segment?.Refresh();
        if (_segment is not null && _next < _segment.Slots)
        {
            return true;
        }
        if (successor is null)
        {
            return false;
        }
        ISegmentReader? segment = successor.TryOpen();
        _segment?.Dispose();
        _segment = segment;
        _file = successor;
        _next = 0;
        if (segment is not null)
        {
            // What was listed and gone before it was opened is in the ledger as well.
            EventLoss loss = removed(_readUpTo, successor.First);
            _pending = _pending.And(loss);
            _passedOver = _passedOver.And(loss);
            _slot.Resize(successor.SubBufferBytes);
            _readUpTo = Math.Max(_readUpTo, successor.First);
            if (segment is DamagedReader)
            {
                TakeDamage(successor);
            }
        }
        return true;
    }

    private void TakeDamage(SegmentFile file)
    {
        Damage = Damage.And(file);
        _pending = _pending.And(EventLoss.Unknown);
    }

    /// <summary>The segments, listed anew only after the folder has changed: a folder may hold a week of them.</summary>
    private SegmentFile[] List()
    {
        DateTime stamp = Directory.GetLastWriteTimeUtc(_folder);
        if (_listingHolds && stamp == _listedStamp)
        {
            return _listed;
        }
        _listingHolds = time.GetUtcNow().UtcDateTime - stamp > StampStep;
        _listedStamp = stamp;
        try
        {
            _listed = SegmentFile.FindAll(_folder);
        }
        catch (DirectoryNotFoundException)
        {
            _listed = [];
        }
        return _listed;
    }

    private void LookAt(ISegmentReader segment, SegmentFile file)
    {
        if (segment.Slots > 0 && (_newestFile != file || segment.Slots != _slotsSeen))
        {
            if (_ahead.Length < file.SubBufferBytes)
            {
                _ahead = new byte[file.SubBufferBytes];
            }
            Newest = segment.NewestEvent(_ahead.AsSpan(0, file.SubBufferBytes));
            _newestFile = file;
            _slotsSeen = segment.Slots;
        }
    }

    private static List<ulong> TimesIn(ReadOnlySpan<byte> subBuffer)
    {
        List<ulong> times = [];
        EventCursor cursor = new(subBuffer);
        while (cursor.TryRead(out RingEvent next))
        {
            times.Add(next.TimeStamp);
        }
        return times;
    }
}
