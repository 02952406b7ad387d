using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace VsockPair.Storage;

/// <summary>
/// One thread for what waits for the disk: fsync, hashing, rename. Jobs run in the order given, so a segment is closed before anything that was
/// asked for later. A job that fails is tried again: nothing that it works on is touched by others.
/// </summary>
internal sealed class StorageWorker : IDisposable
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private readonly BlockingCollection<Action> _jobs = [];
    private readonly ILogger _log;
    private readonly Thread _thread;
    private int _retrying;

    public StorageWorker(ILogger<StorageWorker> log)
    {
        _log = log;
        _thread = new Thread(Work) { Name = "storage", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Closing jobs that failed and wait to be tried again.</summary>
    public int Retrying => Volatile.Read(ref _retrying);

    /// <summary>Whether jobs wait for the thread.</summary>
    public bool IsBusy => _jobs.Count > 0;

    public void Post(string what, Action job) => _jobs.Add(() => RunUntilDone(what, job));

    public Task<T> RunAsync<T>(Func<T> job)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _jobs.Add(() =>
        {
            try
            {
                done.SetResult(job());
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <summary>Returns when every job given before is done, or waits for its next try.</summary>
    public Task FlushAsync() => RunAsync(() => true);

    public void Dispose()
    {
        _jobs.CompleteAdding();
        _thread.Join();
        _jobs.Dispose();
    }

    private void Work()
    {
        foreach (Action job in _jobs.GetConsumingEnumerable())
        {
            job();
        }
    }

    private void RunUntilDone(string what, Action job)
    {
        try
        {
            job();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _log.StorageJobFailed(what, e.Message);
            Interlocked.Increment(ref _retrying);
            _ = RetryAsync(what, job);
        }
    }

    private async Task RetryAsync(string what, Action job)
    {
        await Task.Delay(RetryAfter).ConfigureAwait(false);
        Interlocked.Decrement(ref _retrying);
        try
        {
            Post(what, job);
        }
        catch (InvalidOperationException)
        {
            // The collector has stopped meanwhile; the next start closes this file.
            _log.StorageJobFailed(what, "the collector stops; the next start does it");
        }
    }
}
