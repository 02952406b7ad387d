namespace VsockPair.TestKit;

/// <summary>The real <c>vsockpair watch</c>.</summary>
/// <param name="qmpSockets">Value of <c>--qmp-dir</c>.</param>
public sealed class WatchProcess(string store, string configuration, string qmpSockets) : ServiceProcess("watch", store, configuration, "watch.sock")
{
    protected override IEnumerable<string> Arguments => ["--qmp-dir", qmpSockets];
}
