using System.Diagnostics;
using Mono.Unix.Native;

namespace VsockPair.Watch;

/// <summary>
/// The processes in which a guest's bytes are parsed: this same program, as the user <see cref="User"/> where there is one and this process may become it. They have no way to a
/// machine, and give up the rest of what they could do before they read anything.
/// </summary>
/// <param name="program">With the arguments that it needs to be <c>vsockpair</c>.</param>
internal sealed class CaseChild(params string[] program)
{
    public const string User = "vsockpair-case";

    private const FilePermissions SharedFolder =
        FilePermissions.S_IRWXU | FilePermissions.S_IRWXG | FilePermissions.S_ISGID;

    private const FilePermissions SharedFile = FilePermissions.S_IRUSR | FilePermissions.S_IWUSR | FilePermissions.S_IRGRP;

    private readonly Passwd? _user = Environment.IsPrivilegedProcess ? Syscall.getpwnam(User) : null;

    /// <summary>The file that runs, whatever its path names after an upgrade: the two speak a protocol that is nobody else's.</summary>
    public static CaseChild OfThisProgram() => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet"
        ? new CaseChild(Environment.ProcessPath!, Environment.GetCommandLineArgs()[0])
        : new CaseChild("/proc/self/exe");

    /// <param name="arguments">Of <c>vsockpair</c>.</param>
    public ProcessStartInfo Start(IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(program[0], [.. program[1..], .. arguments]);
        if (_user is not null)
        {
            start.UserName = _user.pw_name;
        }
        return start;
    }

    /// <summary>The children write into it, and what they write is readable here.</summary>
    public void GiveFolder(string folder) => Give(folder, SharedFolder);

    public void GiveToRead(string file) => Give(file, SharedFile);

    private void Give(string path, FilePermissions mode)
    {
        // Failing leaves it to this user alone: the child says then what it cannot read.
        if (_user is not null && Syscall.chown(path, uint.MaxValue, _user.pw_gid) == 0)
        {
            Syscall.chmod(path, mode);
        }
    }
}
