namespace VsockPair.Linux;

/// <summary>A system call failed: what was tried, on what, and the kernel's answer.</summary>
public sealed class LinuxException : IOException
{
    /// <param name="operation">The call, as the kernel names it: <c>splice</c>.</param>
    /// <param name="errno">Positive error number.</param>
    /// <param name="subject">What it was done to: <c>cpu3 → vsock 2:829</c>.</param>
    public LinuxException(string operation, int errno, string subject)
        : base($"{operation}({subject}) failed: {Linux.Errno.Describe(errno)}")
    {
        Errno = errno;
        HResult = errno;
    }

    public int Errno { get; }

    /// <summary>Passes a result of <see cref="Sys"/> through, or throws for a negative one.</summary>
    public static int Check(int result, string operation, string subject) =>
        result >= 0 ? result : throw new LinuxException(operation, -result, subject);
}
