using System.ComponentModel;
using System.Diagnostics;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.Cases;

/// <summary>
/// Finds the vmlinux with debug information of a kernel, by its build-id. Whatever a place's name promises, the file's own note decides: a rebuilt package has the same release.
/// </summary>
/// <param name="root">Where the host's files are; tests have their own.</param>
internal sealed class VmlinuxSearch(string store, WatchOptions options, string root = "/")
{
    private const string DebuginfodFind = "debuginfod-find";

    /// <summary>Of a configured folder.</summary>
    private const int MostCandidates = 10_000;
    private const int MostDepth = 4;

    /// <summary>A vmlinux with debug information has hundreds of megabytes.</summary>
    private static readonly TimeSpan DownloadTime = TimeSpan.FromMinutes(10);

    /// <param name="release"><c>uname -r</c>, as the guest claims it; null when it is not known.</param>
    public string? Find(string buildId, string? release) => Places(buildId, release).FirstOrDefault(path => BuildIdNote.TryRead(path) == buildId);

    /// <summary>Asks debuginfod, when that is configured.</summary>
    /// <param name="fault">Why it is not there, where it was asked.</param>
    public string? Download(string buildId, out string? fault)
    {
        fault = null;
        if (!options.Debuginfod)
        {
            return null;
        }
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(DebuginfodFind, ["debuginfo", buildId]) { RedirectStandardOutput = true })!;
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(DownloadTime))
            {
                process.Kill();
                fault = $"{DebuginfodFind} took more than {DownloadTime.TotalMinutes} minutes";
                return null;
            }
            string path = output.Result.Trim();
            if (process.ExitCode != 0)
            {
                fault = $"{DebuginfodFind} found nothing (exit code {process.ExitCode}; it asks the servers in DEBUGINFOD_URLS)";
                return null;
            }
            fault = BuildIdNote.TryRead(path) == buildId ? null : $"what {DebuginfodFind} brought has another build-id";
            return fault is null ? path : null;
        }
        catch (Win32Exception)
        {
            fault = $"{DebuginfodFind} is not installed (Debian: apt-get install debuginfod; others: elfutils-debuginfod-client)";
            return null;
        }
    }

    /// <summary>What brings the vmlinux of a kernel to this host.</summary>
    public string HowToGet(string buildId, string? release)
    {
        string put = $"put it at {StorePaths.Vmlinux(store, buildId)}";
        return release switch
        {
            null => put,
            _ when !IsRelease(release) => put,
            _ when release.Contains(".el", StringComparison.Ordinal) || release.Contains(".fc", StringComparison.Ordinal) => $"dnf debuginfo-install kernel-{release}, or {put}",
            _ when release.EndsWith("-generic", StringComparison.Ordinal) => $"apt-get install linux-image-{release}-dbgsym (from ddebs.ubuntu.com), or {put}",
            _ when release.EndsWith("-amd64", StringComparison.Ordinal) || release.EndsWith("-arm64", StringComparison.Ordinal) => $"apt-get install linux-image-{release}-dbg, or {put}",
            _ => $"take vmlinux from the folder where {release} was built and {put}",
        };
    }

    /// <summary>Nothing but what a release is made of becomes part of a path or of a command to be typed.</summary>
    private static bool IsRelease(string release) =>
        release.Length is > 0 and <= 64 && char.IsAsciiLetterOrDigit(release[0]) && release.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '+' or '~');

    /// <summary>Files that may be it, the most likely first.</summary>
    private IEnumerable<string> Places(string buildId, string? release)
    {
        string debug = Path.Combine(root, "usr/lib/debug");
        yield return StorePaths.Vmlinux(store, buildId);
        yield return Path.Combine(debug, ".build-id", buildId[..2], buildId[2..] + ".debug");
        if (options.Vmlinux is string folder && Directory.Exists(folder))
        {
            EnumerationOptions all = new() { RecurseSubdirectories = true, MaxRecursionDepth = MostDepth, AttributesToSkip = FileAttributes.Device };
            foreach (string path in Directory.EnumerateFiles(folder, "*", all).Take(MostCandidates))
            {
                yield return path;
            }
        }
        if (release is not null && IsRelease(release))
        {
            yield return Path.Combine(debug, "boot", "vmlinux-" + release);
            yield return Path.Combine(debug, "lib/modules", release, "vmlinux");
        }
    }
}
