using Mono.Unix.Native;
using VsockPair.Commands;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Export;

/// <summary>
/// Where an export goes: a file that is there whole or not at all, standard output, or whatever else a path names (a pipe, a device), which is written as it comes.
/// </summary>
internal sealed class ExportFile : IDisposable
{
    public const string StandardOutputName = "-";
    private const int BufferBytes = 1 << 20;

    private readonly string? _temporary;
    private readonly string _path;
    private bool _published;

    private ExportFile(string path, string? temporary, Stream stream)
    {
        _path = path;
        _temporary = temporary;
        Stream = stream;
    }

    public Stream Stream { get; }

    /// <exception cref="CommandFailure">There can be no such file.</exception>
    public static ExportFile Create(string path, bool canBeStreamed)
    {
        if (path == StandardOutputName)
        {
            return Streamed(path, () => new BufferedStream(new StandardOutput(), BufferBytes), canBeStreamed);
        }
        string target = Path.GetFullPath(path);
        try
        {
            target = (File.Exists(target) ? File.ResolveLinkTarget(target, returnFinalTarget: true)?.FullName : null) ?? target;
            if (Directory.Exists(target))
            {
                throw new CommandFailure(ExitCode.Usage, $"{TerminalText.Escape(path)} is a folder; name a file in it with -o");
            }
            if (File.Exists(target) && !IsRegular(target))
            {
                return Streamed(path, () => new FileStream(target, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, BufferBytes), canBeStreamed);
            }
            string temporary = $"{target}.{Environment.ProcessId}{DurableFile.TemporarySuffix}";
            return new ExportFile(target, temporary, new FileStream(temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.Read, BufferBytes));
        }
        catch (Exception e) when (e is UnauthorizedAccessException or DirectoryNotFoundException)
        {
            throw new CommandFailure(ExitCode.Failed, $"{TerminalText.Escape(path)} cannot be written: {TerminalText.Escape(e.Message)}");
        }
    }

    /// <summary>The content is on the disk, then it has its name.</summary>
    public void Publish()
    {
        Stream.Flush();
        if (_temporary is not null)
        {
            ((FileStream)Stream).Flush(flushToDisk: true);
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

    /// <param name="open">Waits, for a pipe, until somebody reads.</param>
    private static ExportFile Streamed(string path, Func<Stream> open, bool canBeStreamed)
    {
        if (!canBeStreamed)
        {
            throw new CommandFailure(ExitCode.Usage, $"this format cannot be written to {TerminalText.Escape(path)}, it needs a file; the others can");
        }
        return new ExportFile(path, null, open());
    }

    /// <summary>.NET does not tell a device or a pipe from a file.</summary>
    private static bool IsRegular(string path) => Syscall.stat(path, out Stat found) != 0 || (found.st_mode & FilePermissions.S_IFMT) == FilePermissions.S_IFREG;
}
