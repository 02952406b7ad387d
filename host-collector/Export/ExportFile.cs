using Mono.Unix.Native;
using VsockPair.Commands;
using VsockPair.Linux;
using VsockPair.Storage;
using VsockPair.Text;
using static VsockPair.Linux.Constants;
using Errno = VsockPair.Linux.Errno;

namespace VsockPair.Export;

/// <summary>
/// Where an export goes: a file that is there whole or not at all, standard output, or whatever else a path names (a pipe, a device), which is written as it comes.
/// </summary>
internal sealed class ExportFile : IDisposable
{
    public const string StandardOutputName = "-";
    private const int BufferBytes = 1 << 20;

    /// <summary>As of the store's own files: a trace has addresses that the guest's kernel keeps from its users.</summary>
    private const FilePermissions Mode = FilePermissions.S_IRUSR | FilePermissions.S_IWUSR | FilePermissions.S_IRGRP;

    private static readonly TimeSpan ReaderInterval = TimeSpan.FromMilliseconds(50);

    private readonly OutputStream _output;
    private readonly string? _temporary;
    private readonly string _path;
    private bool _published;

    private ExportFile(string path, string? temporary, OutputStream output)
    {
        _path = path;
        _temporary = temporary;
        _output = output;
        Stream = new BufferedStream(output, BufferBytes);
    }

    public Stream Stream { get; }

    /// <returns>Null, or why no path like this one can be written to.</returns>
    public static string? FaultOf(string path) =>
        path.Length == 0 ? "-o is empty; name a file, or - for standard output"
        : path.EndsWith('/') || Directory.Exists(path) ? $"{TerminalText.Escape(path)} is a folder; name a file in it with -o"
        : null;

    /// <exception cref="CommandFailure">There can be no such file.</exception>
    /// <exception cref="OperationCanceledException">Nobody has begun to read the pipe.</exception>
    public static ExportFile Create(string path, bool canBeStreamed, CancellationToken stop)
    {
        if (path == StandardOutputName)
        {
            return Streamed(path, OutputStream.StandardOutput, canBeStreamed);
        }
        string target = Path.GetFullPath(path);
        target = (File.Exists(target) ? File.ResolveLinkTarget(target, returnFinalTarget: true)?.FullName : null) ?? target;
        bool isThere = Syscall.stat(target, out Stat found) == 0;
        FilePermissions type = found.st_mode & FilePermissions.S_IFMT;
        if (isThere && type != FilePermissions.S_IFREG)
        {
            return Streamed(path, () => OutputStream.ToDevice(Open(path, target, type == FilePermissions.S_IFIFO, stop), path), canBeStreamed);
        }
        // A name that nobody can foresee, and a file that was not there: in a folder for everybody, another's link may wait under any name that can be guessed.
        string temporary = $"{target}.{Guid.NewGuid():N}{DurableFile.TemporarySuffix}";
        Fd file = Opened(Sys.Open(temporary, O_RDWR | O_CREAT | O_EXCL, (uint)Mode), path);
        if (isThere && found.st_uid == Syscall.geteuid())
        {
            // Of a file that is somebody else's the mode is somebody else's choice.
            _ = Syscall.fchmod(file.Value, found.st_mode & FilePermissions.ACCESSPERMS);
        }
        return new ExportFile(target, temporary, OutputStream.ToFile(file, path));
    }

    /// <summary>The content is on the disk, then it has its name.</summary>
    public void Publish()
    {
        Stream.Flush();
        if (_temporary is not null)
        {
            _output.Sync();
            Stream.Dispose();
            File.Move(_temporary, _path, overwrite: true);
            DurableFile.SyncFolder(Path.GetDirectoryName(_path)!);
        }
        _published = true;
    }

    public void Dispose()
    {
        try
        {
            Stream.Dispose();
        }
        catch (IOException) when (!_published)
        {
            // What the disk did not take is thrown away below; why it did not is on its way to the user.
        }
        if (!_published && _temporary is not null)
        {
            File.Delete(_temporary);
        }
    }

    private static ExportFile Streamed(string path, Func<OutputStream> open, bool canBeStreamed)
    {
        if (!canBeStreamed)
        {
            throw new CommandFailure(ExitCode.Usage, $"this format cannot be written to {TerminalText.Escape(path)}, it needs a file; the others can");
        }
        return new ExportFile(path, null, open());
    }

    /// <summary>Waits, for a pipe, until somebody reads: in steps, for open(2) itself would go on waiting whatever the user says.</summary>
    private static Fd Open(string path, string target, bool isPipe, CancellationToken stop)
    {
        int result;
        while ((result = Sys.Open(target, O_WRONLY | O_NONBLOCK)) == -Errno.ENXIO && isPipe)
        {
            stop.WaitHandle.WaitOne(ReaderInterval);
            stop.ThrowIfCancellationRequested();
        }
        Fd device = Opened(result, path);
        LinuxException.Check(Sys.Fcntl(device.Value, F_SETFL, 0), "fcntl", path);
        return device;
    }

    private static Fd Opened(int result, string path) => result >= 0
        ? new Fd(result)
        : throw new CommandFailure(
            ExitCode.Failed,
            $"{TerminalText.Escape(path)} cannot be written: "
                + (result == -Errno.ENOENT ? $"there is no folder {TerminalText.Escape(Path.GetDirectoryName(Path.GetFullPath(path))!)}" : Errno.Describe(-result)));
}
