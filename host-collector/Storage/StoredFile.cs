namespace VsockPair.Storage;

/// <summary>A closed segment or kernel log file, as retention sees it.</summary>
/// <param name="Boot">Name of the boot's folder.</param>
/// <param name="Bytes">Blocks, with those of its sidecar.</param>
internal sealed record StoredFile(string FilePath, string Boot, string Stream, long Bytes, DateTime Written)
{
    public bool IsKmsg => Stream == KmsgStream.Name;

    /// <summary>Every closed file of a guest, oldest first.</summary>
    public static List<StoredFile> FindAll(string guest)
    {
        List<StoredFile> files = [];
        foreach (string boot in Directory.EnumerateDirectories(StorePaths.Boots(guest)))
        {
            if (Directory.Exists(StorePaths.Kmsg(boot)))
            {
                AddClosed(StorePaths.Kmsg(boot), boot, files);
            }
            if (Directory.Exists(StorePaths.Trace(boot)))
            {
                foreach (string folder in Directory.EnumerateDirectories(StorePaths.Trace(boot)))
                {
                    AddClosed(folder, boot, files);
                }
            }
        }
        // Files of one tick of the kernel's clock have equal times; their names sort.
        return [.. files.OrderBy(f => f.Written).ThenBy(f => f.FilePath, StringComparer.Ordinal)];
    }

    /// <summary>The file first: a sidecar alone is cleared away at the next start, a file alone would count as left open.</summary>
    public static void Delete(string file)
    {
        string folder = Path.GetDirectoryName(file)!;
        if (Directory.Exists(folder))
        {
            File.Delete(file);
            File.Delete(SegmentSum.PathOf(file));
        }
    }

    private static void AddClosed(string folder, string boot, List<StoredFile> files)
    {
        foreach (string sum in Directory.EnumerateFiles(folder, "*" + StorePaths.SummarySuffix))
        {
            string file = sum[..^StorePaths.SummarySuffix.Length];
            files.Add(new StoredFile(
                file, Path.GetFileName(boot), Path.GetFileName(folder), DiskSpace.BlocksOf(file) + DiskSpace.BlocksOf(sum), File.GetLastWriteTimeUtc(file)));
        }
    }
}
