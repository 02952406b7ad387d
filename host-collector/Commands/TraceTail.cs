using System.IO.Enumeration;
using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.Storage;
using VsockPair.Tracing;

namespace VsockPair.Commands;

/// <summary>
/// The events of one boot as they are stored, of all vCPUs in the order of their times as far as possible: a quiet vCPU's events are stored a second after they happened
/// (the agent's flush time), so an event is held back until every vCPU has a later one, or <see cref="Hold"/> has passed since one as late was seen. What comes even later is shown late.
/// </summary>
internal sealed class TraceTail : IDisposable
{
    private const int FirstEvents = 10;

    /// <summary>Events between two looks whether to stop.</summary>
    private const int Stride = 1024;

    private static readonly TimeSpan Hold = TimeSpan.FromMilliseconds(1500);
    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    private readonly CommandContext _context;
    private readonly TailRequest _request;
    private readonly StoredBoot _boot;
    private readonly ITailPrinter _printer;
    private readonly List<FollowingReader> _readers = [];
    private readonly EventWalk _walk = new([]);
    private readonly Queue<(long At, ulong Newest)> _seen = new();
    private readonly TailCatalog _catalog;

    /// <summary>By id of the events; emptied with each catalog.</summary>
    private readonly Dictionary<int, bool> _wanted = [];

    /// <summary>What is older was stored before this began.</summary>
    private readonly ulong _from;
    private ulong _heldUpTo;
    private long _ledgerRead;
    private long? _lookedAt;
    private bool _refreshed;

    public TraceTail(CommandContext context, TailRequest request, StoredBoot boot, ITailPrinter printer, bool fromEnd)
    {
        _context = context;
        _request = request;
        _boot = boot;
        _printer = printer;
        _catalog = new TailCatalog(context, boot, needsClock: request.Json);
        UseCatalog();
        if (!fromEnd)
        {
            return;
        }
        while (JsonLines.ReadOn(StorePaths.Losses(boot.Folder), StoreJson.Default.LossRecord, ref _ledgerRead).Count > 0)
        {
            // What was lost before this began is the business of the command losses.
        }
        List<ulong> newest = [];
        FollowingReader[] readers = [.. NewReaders()];
        foreach (FollowingReader reader in readers)
        {
            newest.AddRange(reader.SeekEnd(FirstEvents));
            reader.LookAhead();
            _heldUpTo = Math.Max(_heldUpTo, reader.Newest);
        }
        _from = newest.OrderDescending().Take(FirstEvents).LastOrDefault();
        foreach (FollowingReader reader in readers)
        {
            _walk.Add(reader);
        }
    }

    /// <summary>Shows what is new and need not be held back.</summary>
    /// <param name="isOver">A newer boot has come: nothing is held back.</param>
    public void Poll(bool isOver, CancellationToken stop)
    {
        Look();
        ulong upTo = isOver ? ulong.MaxValue : UpTo();
        _walk.Resume();
        for (long events = 0; _walk.NextTime <= upTo && (events % Stride != 0 || !stop.IsCancellationRequested) && _walk.TryReadNext(); events++)
        {
            Show();
        }
        foreach (FollowingReader reader in _readers)
        {
            _printer.PassedOver(reader.TakePassedOver());
        }
        _printer.Tell();
    }

    public void Dispose() => _walk.Dispose();

    private void Show()
    {
        if (_walk.TimeStamp < _from)
        {
            return;
        }
        if (_walk.Loss.Any)
        {
            _printer.Loss(_walk.Vcpu, _walk.TimeStamp, _walk.Loss);
        }
        RingEvent current = _walk.Current;
        if (IsWanted(current.Id))
        {
            RingEvent next = _walk.Next;
            _printer.Event(_walk.Vcpu, current, next);
        }
    }

    private bool IsWanted(int id)
    {
        if (!_wanted.TryGetValue(id, out bool wanted))
        {
            EventFormat? format = _catalog.Events.Find(id);
            // An event is switched on only once its format is stored, so that one without is worth a look, but not one for each of them.
            if (format is null && !_refreshed)
            {
                Refresh();
                format = _catalog.Events.Find(id);
            }
            wanted = _request.Events.Count == 0 || (format is not null && _request.Events.Any(e => Matches(e, format)));
            _wanted[id] = wanted;
        }
        return wanted;
    }

    private static bool Matches(string pattern, EventFormat format)
    {
        int colon = pattern.IndexOf(':', StringComparison.Ordinal);
        return FileSystemName.MatchesSimpleExpression(colon < 0 ? pattern : pattern.AsSpan(0, colon), format.System, ignoreCase: false)
            && (colon < 0 || FileSystemName.MatchesSimpleExpression(pattern.AsSpan(colon + 1), format.Name, ignoreCase: false));
    }

    /// <summary>Once a second: vCPUs that appeared, formats that came, losses that were booked.</summary>
    private void Look()
    {
        _refreshed = false;
        if (_lookedAt is long at && _context.Time.GetElapsedTime(at) < LookInterval)
        {
            return;
        }
        _lookedAt = _context.Time.GetTimestamp();
        foreach (FollowingReader reader in NewReaders())
        {
            _walk.Add(reader);
        }
        Refresh();
        foreach (LossRecord loss in JsonLines.ReadOn(StorePaths.Losses(_boot.Folder), StoreJson.Default.LossRecord, ref _ledgerRead))
        {
            if (StorePaths.TryParseStream(loss.Stream, out int vcpu) && IsMeant(vcpu))
            {
                _printer.Lost(vcpu, loss);
            }
        }
    }

    private void Refresh()
    {
        _refreshed = true;
        if (_catalog.TryRefresh())
        {
            UseCatalog();
        }
    }

    private void UseCatalog()
    {
        _wanted.Clear();
        _printer.Use(_catalog.Events, _catalog.Clock);
    }

    private List<FollowingReader> NewReaders()
    {
        List<FollowingReader> added = [];
        foreach (int vcpu in BootRecording.NumbersOf(_boot))
        {
            if (IsMeant(vcpu) && _readers.All(r => r.Vcpu != vcpu))
            {
                added.Add(new FollowingReader(_boot, vcpu, _context.Time, (after, before) => Removed(vcpu, after, before)));
            }
        }
        _readers.AddRange(added);
        return added;
    }

    private bool IsMeant(int vcpu) => _request.Cpus.Count == 0 || _request.Cpus.Contains(vcpu);

    private ulong UpTo()
    {
        long now = _context.Time.GetTimestamp();
        ulong newest = 0;
        ulong allHave = _readers.Count == 0 ? 0 : ulong.MaxValue;
        foreach (FollowingReader reader in _readers)
        {
            reader.LookAhead();
            newest = Math.Max(newest, reader.Newest);
            allHave = Math.Min(allHave, reader.Newest);
        }
        _seen.Enqueue((now, newest));
        while (_seen.TryPeek(out (long At, ulong Newest) seen) && _context.Time.GetElapsedTime(seen.At, now) >= Hold)
        {
            // Not the maximum: a guest that stamped one event far ahead would never be held back again.
            _heldUpTo = seen.Newest;
            _seen.Dequeue();
        }
        return Math.Max(_heldUpTo, allHave);
    }

    private EventLoss Removed(int vcpu, ulong after, ulong before)
    {
        EventLoss loss = default;
        string stream = StorePaths.StreamName(vcpu);
        foreach (LossRecord line in LossLedger.Read(StorePaths.Losses(Path.GetFullPath(Path.Combine(_boot.Folder, "..", "..")))))
        {
            if (line.Source == LossSources.Retention && line.Boot == _boot.Name && line.Stream == stream && line.Last > after && line.First < before)
            {
                // A line may be for several segments, of which some were read.
                bool isWhole = line.First > after && line.Last < before;
                loss = loss.And(new EventLoss(true, isWhole && line.Events is long events ? (ulong)Math.Max(0, events) : null));
            }
        }
        return loss;
    }
}
