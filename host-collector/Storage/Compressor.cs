using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VsockPair.Linux;
using VsockPair.Sessions;

namespace VsockPair.Storage;

/// <summary>
/// Compresses what was closed a while ago, one segment at a time, oldest first, on a thread of its own that gets only what nobody else wants of the CPU and the disk, and
/// never more than half a CPU. It lets the storage thread go first, and rests while the disk is full. What fails is tried again later; the segment stays as it is.
/// </summary>
internal sealed class Compressor(CollectorStore store, DiskState disk, CompressionTimes times, FaultSignal faults, ILogger<Compressor> log) : IHostedService, IDisposable
{
    /// <summary>So long a frame waits for files that wait to be closed: under a flood of them there would be no end.</summary>
    private static readonly TimeSpan MostYield = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan YieldStep = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan StopWait = TimeSpan.FromSeconds(10);

    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<string, Queue> _queues = new(StringComparer.Ordinal);
    private Thread? _thread;
    private long _usedCpu;
    private DateTime _nextLog;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _thread = new Thread(Work) { Name = "compress", IsBackground = true };
        _thread.Start();
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        // On a busy host it may be a while until it has a CPU to see that; what it leaves unfinished, the next start tidies up.
        _thread?.Join(StopWait);
    }

    public void Dispose() => _stop.Dispose();

    private void Work()
    {
        try
        {
            if (Sys.MakeThreadIdle() is < 0 and int error)
            {
                log.NotIdle(Errno.Describe(-error));
            }
            using SegmentCompression compression = new(store.Worker, Pace);
            _usedCpu = Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID);
            do
            {
                foreach (GuestStore guest in store.Guests)
                {
                    Guard(guest.Name, () => LookAt(guest, compression));
                }
            }
            while (!_stop.Token.WaitHandle.WaitOne(times.Every));
        }
        catch (Exception e) when (_stop.IsCancellationRequested && e is OperationCanceledException or InvalidOperationException)
        {
            // The collector stops, or did so already: a busy host gave this thread no CPU in time.
        }
        catch (DllNotFoundException)
        {
            log.NoCompression(Zstd.MissingMessage);
        }
        catch (Exception e)
        {
            faults.Report("compression", e);
        }
    }

    private void LookAt(GuestStore guest, SegmentCompression compression)
    {
        bool known = _queues.TryGetValue(guest.Name, out Queue? queue);
        if (!known)
        {
            queue = _queues[guest.Name] = new Queue();
            foreach (string folder in FoldersOf(guest))
            {
                compression.FinishInterrupted(guest, folder);
            }
        }
        if (guest.TakeMayCompress() || !known)
        {
            queue!.Fill(FoldersOf(guest), times.After);
        }
        while (!disk.IsFull && queue!.TakeDue() is string segment)
        {
            _stop.Token.ThrowIfCancellationRequested();
            Compress(guest, segment, queue, compression);
        }
    }

    private void Compress(GuestStore guest, string segment, Queue queue, SegmentCompression compression)
    {
        try
        {
            if (compression.Run(guest, segment) == CompressionEnd.Damaged)
            {
                queue.PutOff(segment, DateTime.MaxValue);
                log.SegmentDamaged(segment);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            queue.PutOff(segment, DateTime.UtcNow + times.RetryAfter);
            LogFailure(segment, e);
        }
    }

    private static IEnumerable<string> FoldersOf(GuestStore guest) =>
        guest.BootFolders.Select(StorePaths.Trace).Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories);

    /// <summary>Sleeps as long as it has worked, and while files wait to be closed.</summary>
    private void Pace()
    {
        long used = Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID);
        Rest(TimeSpan.FromMicroseconds((used - _usedCpu) / 1000.0));
        for (TimeSpan yielded = TimeSpan.Zero; store.Worker.IsBusy && yielded < MostYield; yielded += YieldStep)
        {
            Rest(YieldStep);
        }
        _usedCpu = Sys.Now(Constants.CLOCK_THREAD_CPUTIME_ID);
    }

    private void Rest(TimeSpan time)
    {
        _stop.Token.WaitHandle.WaitOne(time);
        _stop.Token.ThrowIfCancellationRequested();
    }

    private void Guard(string guest, Action work)
    {
        try
        {
            work();
        }
        catch (DirectoryNotFoundException)
        {
            // A boot has gone meanwhile.
            _queues.Remove(guest);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _queues.Remove(guest);
            LogFailure(guest, e);
        }
    }

    /// <summary>One line in a while: what keeps one segment from being compressed mostly concerns the whole disk.</summary>
    private void LogFailure(string what, Exception e)
    {
        if (DateTime.UtcNow >= _nextLog)
        {
            _nextLog = DateTime.UtcNow + times.RetryAfter;
            log.CompressionFailed(what, e.Message);
        }
    }

    /// <summary>A guest's closed segments in their first form.</summary>
    private sealed class Queue
    {
        private readonly SortedSet<(DateTime Due, string Segment)> _waiting = [];
        private Dictionary<string, DateTime> _putOff = new(StringComparer.Ordinal);

        public void Fill(IEnumerable<string> folders, TimeSpan after)
        {
            _waiting.Clear();
            Dictionary<string, DateTime> putOff = new(StringComparer.Ordinal);
            foreach (string segment in folders.SelectMany(f => Directory.EnumerateFiles(f, "*" + StorePaths.SegmentSuffix)))
            {
                if (_putOff.TryGetValue(segment, out DateTime until))
                {
                    putOff[segment] = until;
                }
                if (File.Exists(SegmentSum.PathOf(segment)))
                {
                    DateTime closed = File.GetLastWriteTimeUtc(SegmentSum.PathOf(segment)) + after;
                    _waiting.Add((closed > until ? closed : until, segment));
                }
            }
            _putOff = putOff;
        }

        /// <summary>The oldest one that has come of age.</summary>
        public string? TakeDue()
        {
            (DateTime due, string? segment) = _waiting.Min;
            return segment is not null && due <= DateTime.UtcNow && _waiting.Remove((due, segment)) ? segment : null;
        }

        public void PutOff(string segment, DateTime until)
        {
            _putOff[segment] = until;
            _waiting.Add((until, segment));
        }
    }
}
