using Microsoft.Win32.SafeHandles;
using Mono.Unix.Native;
using VsockPair.Linux;
using VsockPair.Memory;
using VsockPair.Options;

namespace VsockPair.Watch;

/// <summary>Moves a dump that somebody else has taken into a case: by its name where both are on one disk, otherwise by a copy.</summary>
internal static class AdoptedDump
{
    private const FilePermissions OwnerOnly = FilePermissions.S_IRUSR | FilePermissions.S_IWUSR;
    private const int CopyBytes = 1 << 20;

    /// <exception cref="MachineException">It is no dump, or there is no room for a copy; it is left where it is.</exception>
    /// <exception cref="IOException">The same.</exception>
    public static async Task<MemoryFormat> TakeAsync(string dump, CaseFolder file, CollectorOptions options, Action<Fd, CaseFolder> publish, CancellationToken stop)
    {
        using Fd source = Fd.Own(Sys.Open(dump, Constants.O_RDWR | Constants.O_NOFOLLOW), "open", dump);
        MemoryFormat format = MemoryFiles.FormatOf(source) ?? throw new MachineException("it is neither an ELF core nor kdump-compressed");
        int result = Sys.Rename(dump, file.PartialVmcore);
        if (result != -Linux.Errno.EXDEV)
        {
            LinuxException.Check(result, "rename", dump);
            // It may be the user's that the VMM runs as, who then could still change it.
            Take(file.PartialVmcore);
            publish(source, file);
            return format;
        }
        LinuxException.Check(Sys.Status(source.Value, out long bytes, out _), "fstat", dump);
        if (MemoryCapture.WhyNoRoom(options, bytes) is string reason)
        {
            throw new MachineException(reason);
        }
        using Fd target = MemoryCapture.CreatePartial(file);
        try
        {
            await using FileStream from = Stream(source, FileAccess.Read);
            await using FileStream to = Stream(target, FileAccess.Write);
            await from.CopyToAsync(to, CopyBytes, stop).ConfigureAwait(false);
        }
        catch
        {
            File.Delete(file.PartialVmcore);
            throw;
        }
        publish(target, file);
        File.Delete(dump);
        return format;
    }

    private static FileStream Stream(Fd file, FileAccess access) => new(new SafeFileHandle(file.Value, ownsHandle: false), access, bufferSize: 0);

    private static void Take(string path)
    {
        if (Syscall.chown(path, Syscall.geteuid(), Syscall.getegid()) != 0 || Syscall.chmod(path, OwnerOnly) != 0)
        {
            throw new MachineException($"{path} cannot be made this user's own: {Stdlib.strerror(Stdlib.GetLastError())}");
        }
    }
}
