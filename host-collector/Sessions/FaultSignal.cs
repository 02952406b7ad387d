using Microsoft.Extensions.Logging;

namespace VsockPair.Sessions;

/// <summary>A thread or task that must not end has ended: the collector stops and its exit code says so.</summary>
internal sealed class FaultSignal(ILogger<FaultSignal> log)
{
    private readonly TaskCompletionSource _fault = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Faulted => _fault.Task;

    public void Report(string who, Exception e)
    {
        log.Faulted(who, e);
        _fault.TrySetResult();
    }
}
