namespace VsockPair.TestKit;

/// <summary>The real <c>vsockpair serve</c>.</summary>
/// <param name="listen">Values of <c>--listen</c>.</param>
public sealed class CollectorProcess(string store, string configuration, params string[] listen) : ServiceProcess("serve", store, configuration, "control.sock")
{
    protected override IEnumerable<string> Arguments => listen.SelectMany(spec => (string[])["--listen", spec]);
}
