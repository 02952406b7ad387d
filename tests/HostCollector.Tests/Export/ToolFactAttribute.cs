namespace VsockPair.HostCollector.Tests.Export;

/// <summary>Needs programs that tests/rig/install.sh installs: outside judges of what is exported.</summary>
internal abstract class ToolFactAttribute : FactAttribute
{
    protected ToolFactAttribute(params IEnumerable<string> programs)
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        string[] missing = [.. programs.Where(program => !folders.Any(folder => File.Exists(Path.Combine(folder, program))))];
        if (missing.Length > 0)
        {
            Skip = $"{string.Join(", ", missing)} is not installed: tests/rig/install.sh installs it";
        }
    }
}
