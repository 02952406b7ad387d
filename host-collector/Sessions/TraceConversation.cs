using VsockPair.Protocol;

namespace VsockPair.Sessions;

/// <summary>Trace requests of one session and their answers (PROTOCOL.md §11): one at a time, each with a time limit. Any thread.</summary>
internal sealed class TraceConversation(TimeSpan limit)
{
    /// <summary>Holds nothing but memory, so nobody disposes of it.</summary>
    private SemaphoreSlim Turn { get; } = new(1);

    private readonly Lock _gate = new();

    /// <summary>Asked, and not answered yet; those before the newest are not waited for any more.</summary>
    private readonly HashSet<uint> _open = [];
    private TaskCompletionSource<TraceAnswer>? _waiting;
    private uint _lastId;

    /// <param name="closed">The session's connection is gone.</param>
    /// <exception cref="TimeoutException">The agent has not answered.</exception>
    /// <exception cref="OperationCanceledException">The session has ended.</exception>
    public async Task<TraceAnswer> AskAsync(TraceRequest request, Action<TraceRequest> send, CancellationToken closed)
    {
        if (!await Turn.WaitAsync(limit, closed).ConfigureAwait(false))
        {
            throw new TimeoutException();
        }
        try
        {
            TaskCompletionSource<TraceAnswer> waiting = new(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_gate)
            {
                _open.Add(++_lastId);
                _waiting = waiting;
                request = request with { Id = _lastId };
            }
            send(request);
            return await waiting.Task.WaitAsync(limit, closed).ConfigureAwait(false);
        }
        finally
        {
            Turn.Release();
        }
    }

    public Violation? Take(in TraceAnswer answer)
    {
        lock (_gate)
        {
            if (!_open.Remove(answer.Id))
            {
                return Violation.UnaskedTraceAnswer;
            }
            if (answer.Id == _lastId)
            {
                _waiting!.TrySetResult(answer);
            }
            return null;
        }
    }
}
