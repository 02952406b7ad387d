using Microsoft.Extensions.Logging;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Sessions;

/// <summary>The loop threads: a new one only when all others have their fill.</summary>
internal sealed class BulkLoops(CollectorOptions options, DiskState disk, FaultSignal faults, TimeProvider time, ILogger<BulkLoop> log) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<BulkLoop> _loops = [];
    private readonly TokenBucket _hostBudget = new(options.Limits.HostRate, time, deepestSeconds: 1);

    public BulkLoop Choose()
    {
        lock (_gate)
        {
            BulkLoop? loop = _loops.MinBy(l => l.Load);
            if (loop is null || loop.Load >= BulkLoop.MaxStreams)
            {
                loop = new BulkLoop(_loops.Count, _hostBudget, disk, faults, log);
                _loops.Add(loop);
            }
            return loop;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (BulkLoop loop in _loops)
            {
                loop.Dispose();
            }
        }
    }
}
