using System.ComponentModel;
using System.Diagnostics;

namespace VsockPair.Watch;

/// <summary>The process of a machine's VMM.</summary>
internal static class VmmProcess
{
    /// <summary>Null when it cannot be known.</summary>
    public static DateTimeOffset? StartOf(int process)
    {
        try
        {
            using Process vmm = Process.GetProcessById(process);
            return new DateTimeOffset(vmm.StartTime.ToUniversalTime());
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or Win32Exception)
        {
            // In another PID namespace, hidden, or ended.
            return null;
        }
    }
}
