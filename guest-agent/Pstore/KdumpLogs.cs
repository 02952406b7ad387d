namespace VsockPair.GuestAgent.Pstore;

/// <summary>
/// Kernel logs of crashes that the guest's own kdump has taken: <c>/var/crash/*/vmcore-dmesg.txt</c> (Red Hat), <c>/var/crash/*/dmesg.*</c> (Debian). They are shipped as crash records
/// are and never removed; the vmcore beside them stays in the guest.
/// </summary>
internal static class KdumpLogs
{
    private const int Most = 8;
    private const long MostBytes = 8L << 20;
    private const int MostNameChars = 100;

    public static bool IsOne(GuestPaths paths, string path) => path.StartsWith($"{paths.KdumpFolder}/", StringComparison.Ordinal);

    /// <summary>With the name that a record of it gets: every crash's file is called the same, its folder is not.</summary>
    public static List<(string Path, string Name)> Newest(GuestPaths paths)
    {
        List<FileInfo> logs = [];
        try
        {
            foreach (string folder in Directory.Exists(paths.KdumpFolder) ? Directory.GetDirectories(paths.KdumpFolder) : [])
            {
                string[] files = Directory.GetFiles(folder);
                logs.AddRange(Array.ConvertAll(Array.FindAll(files, IsLog), f => new FileInfo(f)));
            }
            logs.RemoveAll(f => f.Length is 0 or > MostBytes);
            logs.Sort((a, b) => b.LastWriteTimeUtc.CompareTo(a.LastWriteTimeUtc));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            AgentLog.Warning($"{paths.KdumpFolder} cannot be read, ignoring: {e.Message}");
            return [];
        }
        return logs.GetRange(0, Math.Min(Most, logs.Count)).ConvertAll(f => (f.FullName, NameOf(f.Directory!.Name)));
    }

    private static bool IsLog(string path) => Path.GetFileName(path) is string name && (name == "vmcore-dmesg.txt" || name.StartsWith("dmesg.", StringComparison.Ordinal));

    // Red Hat's folders are called like 127.0.0.1-2026-11-24-10:00:00.
    private static string NameOf(string folder)
    {
        char[] name = folder[..Math.Min(folder.Length, MostNameChars)].ToCharArray();
        for (int i = 0; i < name.Length; i++)
        {
            name[i] = char.IsAsciiLetterOrDigit(name[i]) || name[i] is '.' or '_' ? name[i] : '-';
        }
        return $"kdump-dmesg-{new string(name)}";
    }
}
