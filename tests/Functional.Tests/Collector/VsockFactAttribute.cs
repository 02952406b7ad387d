using VsockPair.Linux;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>A test that makes an AF_VSOCK socket; it connects nowhere.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class VsockFactAttribute : FactAttribute
{
    public VsockFactAttribute()
    {
        int fd = Sys.Socket(Constants.AF_VSOCK, Constants.SOCK_STREAM);
        if (fd < 0)
        {
            Skip = $"needs AF_VSOCK ({Errno.Describe(-fd)}): modprobe vsock";
            return;
        }
        Sys.Close(fd);
    }
}
