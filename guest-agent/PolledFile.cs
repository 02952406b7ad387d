using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>A small file of the kernel that is looked at for ever: kept open, each look is one system call and leaves no garbage.</summary>
internal sealed unsafe class PolledFile(string path) : IDisposable
{
    // What proc, sysfs and tracefs give in one read() of a file of this kind.
    public const int MostBytes = 4096;

    private readonly Fd _file = Fd.Own(Sys.Open(path, Constants.O_RDONLY), "open", path);

    /// <summary>Its beginning as it is now.</summary>
    public int Read(Span<byte> target)
    {
        fixed (byte* p = target)
        {
            return LinuxException.Check(Sys.PRead(_file.Value, p, target.Length, 0), "read", path);
        }
    }

    public void Dispose() => _file.Dispose();
}
