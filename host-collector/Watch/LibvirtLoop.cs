using VsockPair.Sessions;

namespace VsockPair.Watch;

/// <summary>
/// libvirt's event loop: one thread that reads for all connections of this process, and from which events and keepalives come. It runs until the process ends; without
/// it nobody would notice a dead connection, so its end is the service's.
/// </summary>
internal static unsafe class LibvirtLoop
{
    private static readonly Lock Gate = new();
    private static bool s_isRunning;

    /// <summary>Before the first connection is opened, as libvirt demands.</summary>
    /// <exception cref="MachineException">libvirt refuses.</exception>
    public static void Start(FaultSignal faults)
    {
        lock (Gate)
        {
            if (s_isRunning)
            {
                return;
            }
            LibvirtLibrary.SetErrorFunc(0, &LibvirtLibrary.IgnoreError);
            if (LibvirtLibrary.EventRegisterDefaultImpl() < 0)
            {
                throw LibvirtLibrary.Failure("virEventRegisterDefaultImpl");
            }
            new Thread(() => Run(faults)) { Name = "libvirt events", IsBackground = true }.Start();
            s_isRunning = true;
        }
    }

    private static void Run(FaultSignal faults)
    {
        while (LibvirtLibrary.EventRunDefaultImpl() >= 0)
        {
        }
        faults.Report("libvirt events", LibvirtLibrary.Failure("virEventRunDefaultImpl"));
    }
}
