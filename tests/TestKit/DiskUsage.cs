using System.Diagnostics;
using System.Globalization;

namespace VsockPair.TestKit;

/// <summary>Disk space that a file really takes, holes not counted.</summary>
public static class DiskUsage
{
    /// <returns>0 for a file that is gone: retention may remove it while a test looks.</returns>
    public static long Bytes(string path)
    {
        using Process process = Process.Start(new ProcessStartInfo("stat", ["-c", "%b %B", path]) { RedirectStandardOutput = true, RedirectStandardError = true })
            ?? throw new InvalidOperationException("stat did not start");
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        string[] figures = text.Trim().Split(' ');
        return figures.Length == 2 ? long.Parse(figures[0], CultureInfo.InvariantCulture) * long.Parse(figures[1], CultureInfo.InvariantCulture) : 0;
    }
}
