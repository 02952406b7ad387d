namespace VsockPair.HostCollector.Tests.Export;

/// <summary>Needs trace-cmd, the outside judge.</summary>
internal sealed class TraceCmdFactAttribute : FactAttribute
{
    public TraceCmdFactAttribute()
    {
        if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, "trace-cmd"))))
        {
            Skip = "trace-cmd is not installed: tests/rig/install.sh installs it";
        }
    }
}
