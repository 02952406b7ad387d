using Microsoft.Win32.SafeHandles;

namespace VsockPair.Linux;

/// <summary>Owns one descriptor. The two measured loops (CPU pump, epoll loop) take <see cref="Value"/> for as long as they run.</summary>
public sealed class Fd : SafeHandleMinusOneIsInvalid
{
    public Fd(int value)
        : base(ownsHandle: true)
    {
        SetHandle(value);
    }

    public int Value => (int)handle;

    /// <summary>Takes a result of <see cref="Sys"/>.</summary>
    /// <exception cref="LinuxException">The result is an error.</exception>
    public static Fd Own(int result, string operation, string subject) => new(LinuxException.Check(result, operation, subject));

    protected override bool ReleaseHandle()
    {
        Sys.Close((int)handle);
        return true;
    }
}
