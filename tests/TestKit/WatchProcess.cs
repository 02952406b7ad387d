using VsockPair.TestKit.Vm;

namespace VsockPair.TestKit;

/// <summary>The real <c>vsockpair watch</c>.</summary>
/// <param name="qmpSockets">Value of <c>--qmp-dir</c>.</param>
/// <param name="libvirt">Whose domains it watches as well.</param>
public sealed class WatchProcess(string store, string configuration, string qmpSockets, LibvirtHost? libvirt) : ServiceProcess("watch", store, configuration, "watch.sock")
{
    protected override IEnumerable<string> Arguments => ["--qmp-dir", qmpSockets, .. libvirt is null ? Array.Empty<string>() : ["--libvirt", LibvirtHost.Uri]];

    protected override IEnumerable<string> Launcher => libvirt?.Inside ?? [];
}
