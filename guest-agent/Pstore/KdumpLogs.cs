using VsockPair.GuestAgent.Files;

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

    /// <summary>Newest first, each with the name of its folder: the files of all crashes are called the same.</summary>
    public static List<OfferedFile> Newest(GuestPaths paths)
    {
        List<OfferedFile> newest = [];
        try
        {
            foreach (string folder in Directory.Exists(paths.KdumpFolder) ? Directory.GetDirectories(paths.KdumpFolder) : [])
            {
                foreach (string path in Array.FindAll(Directory.GetFiles(folder), IsLog))
                {
                    OfferedFile log = PstoreRecords.Describe(path, NameOf(Path.GetFileName(folder)), out long bytes);
                    if (bytes <= MostBytes)
                    {
                        int older = newest.FindIndex(l => l.Modified < log.Modified);
                        newest.Insert(older < 0 ? newest.Count : older, log);
                    }
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            AgentLog.Warning($"{paths.KdumpFolder} cannot be read, ignoring: {e.Message}");
        }
        return newest.GetRange(0, Math.Min(Most, newest.Count));
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
