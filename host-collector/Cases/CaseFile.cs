using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Mono.Unix.Native;
using VsockPair.Linux;

namespace VsockPair.Cases;

/// <summary>
/// A file of a case on its way: under a temporary name until it is whole and on the disk. Whoever writes a <c>.partial</c> holds its flock(2), which ends with the process
/// and with every process that the descriptor was passed to: one that can be locked is a leftover.
/// </summary>
internal sealed class CaseFile : IDisposable
{
    public const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead;

    private const int BufferBytes = 1 << 16;

    /// <summary>A file is locked a moment after it was made.</summary>
    public static readonly TimeSpan LeftoverAge = TimeSpan.FromMinutes(1);

    private readonly string _folder;
    private readonly string _name;
    private readonly string _partial;
    private readonly FileStream _stream;
    private bool _published;

    private CaseFile(string folder, string name, string partial, FileStream stream)
    {
        _folder = folder;
        _name = name;
        _partial = partial;
        _stream = stream;
    }

    /// <summary>Can seek.</summary>
    public Stream Stream => _stream;

    /// <param name="folder">Of the case.</param>
    /// <param name="name">Relative to it; never of a guest's choice alone.</param>
    public static CaseFile Create(string folder, string name)
    {
        string partial = Path.Combine(folder, name + CasePaths.PartialSuffix);
        // A new file, never through a link that somebody has put there.
        File.Delete(partial);
        FileStream stream = new(partial, new FileStreamOptions
        {
            Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Share = FileShare.None, BufferSize = BufferBytes, UnixCreateMode = Mode,
        });
        return new CaseFile(folder, name, partial, stream);
    }

    /// <summary>The content is on the disk, then it has its name.</summary>
    public CasePart Publish(string source, bool complete, DateTimeOffset time)
    {
        _stream.Flush(flushToDisk: true);
        _stream.Position = 0;
        CasePart part = new(_name, source, _stream.Length, Convert.ToHexStringLower(SHA256.HashData(_stream)), time, complete);
        File.Move(_partial, Path.Combine(_folder, _name), overwrite: true);
        _published = true;
        return part;
    }

    public void Dispose()
    {
        try
        {
            _stream.Dispose();
        }
        catch (IOException) when (!_published)
        {
            // What the disk did not take goes with the file; why it did not is on its way to whoever asked for it.
        }
        if (!_published)
        {
            File.Delete(_partial);
        }
    }

    /// <summary>Opens a file of a case for reading; a link in its place, which a process that a guest has taken over might leave, is none.</summary>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static FileStream OpenForReading(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        if (new DirectoryInfo(Path.GetDirectoryName(path)!).LinkTarget is not null)
        {
            throw new IOException($"{Path.GetDirectoryName(path)} is a link");
        }
        // .NET follows links, and O_NOFOLLOW is another number on each architecture.
        int fd = Syscall.open(path, OpenFlags.O_RDONLY | OpenFlags.O_NOFOLLOW | OpenFlags.O_CLOEXEC | OpenFlags.O_NONBLOCK);
        if (fd < 0)
        {
            throw new LinuxException("open", (int)Stdlib.GetLastError(), path);
        }
        SafeFileHandle handle = new(fd, ownsHandle: true);
        if (Syscall.fstat(fd, out Stat found) != 0 || (found.st_mode & FilePermissions.S_IFMT) != FilePermissions.S_IFREG)
        {
            handle.Dispose();
            throw new IOException($"{path} is no regular file");
        }
        return new FileStream(handle, FileAccess.Read, BufferBytes);
    }

    /// <summary>Removes what processes that died were writing.</summary>
    public static void RemoveLeftovers(string folder)
    {
        foreach (string partial in Directory.EnumerateFiles(folder, "*" + CasePaths.PartialSuffix, SearchOption.AllDirectories).ToArray())
        {
            if (DateTime.UtcNow - File.GetLastWriteTimeUtc(partial) > LeftoverAge && TryLock(partial))
            {
                File.Delete(partial);
            }
        }
    }

    private static bool TryLock(string partial)
    {
        using Fd file = Fd.Own(Sys.Open(partial, Constants.O_RDONLY | Constants.O_NONBLOCK), "open", partial);
        return Sys.TryLock(file.Value) == 0;
    }
}
