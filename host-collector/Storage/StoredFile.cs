namespace VsockPair.Storage;

/// <summary>A closed segment or kernel log file, as retention sees it.</summary>
/// <param name="FilePath">Of a segment: its path whichever form it has (<see cref="SegmentForms"/>).</param>
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

    public static void Delete(string file)
    {
        if (Directory.Exists(Path.GetDirectoryName(file)))
        {
            SegmentForms.Delete(file);
        }
    }

    private static void AddClosed(string folder, string boot, List<StoredFile> files)
    {
        foreach (string sum in Directory.EnumerateFiles(folder, "*" + StorePaths.SummarySuffix))
        {
            string file = sum[..^StorePaths.SummarySuffix.Length];
            files.Add(new StoredFile(
                file, Path.GetFileName(boot), Path.GetFileName(folder), SegmentForms.BlocksOf(file) + DiskSpace.BlocksOf(sum), SegmentForms.WrittenUtc(file)));
        }
    }
}
