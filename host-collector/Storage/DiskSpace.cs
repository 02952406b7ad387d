using Mono.Unix.Native;
using VsockPair.Linux;

namespace VsockPair.Storage;

/// <summary>What the file system says: room on it, and blocks of a file, which for a sparse file are fewer than its size.</summary>
internal static class DiskSpace
{
    /// <summary>What a file system gives out at once: the least that a tail's slot takes.</summary>
    public const int PageBytes = 4096;

    private const int BlockBytes = 512; // st_blocks counts these (stat(2)), whatever the file system's own blocks are.

    /// <summary>What so many bytes take on the disk.</summary>
    public static long Rounded(long bytes) => (bytes + PageBytes - 1) / PageBytes * PageBytes;

    /// <param name="free">Bytes that this process may still write.</param>
    public static void Read(string folder, out long total, out long free)
    {
        if (Syscall.statvfs(folder, out Statvfs space) != 0)
        {
            throw new LinuxException("statvfs", (int)Stdlib.GetLastError(), folder);
        }
        total = (long)(space.f_blocks * space.f_frsize);
        free = (long)(space.f_bavail * space.f_frsize);
    }

    /// <returns>0 for a file that is gone.</returns>
    public static long BlocksOf(string file) => Syscall.stat(file, out Stat stat) == 0 ? stat.st_blocks * BlockBytes : 0;
}
