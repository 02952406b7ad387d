using System.Runtime.InteropServices;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>
/// The process's stop signals, taken with the calls that <see cref="PosixSignalRegistration"/> itself makes: that class hands each signal to the thread pool,
/// which nothing else in the agent needs and which would be a thirtieth of its size. The handler runs on the runtime's signal thread, not in the signal's context.
/// </summary>
internal static unsafe partial class StopSignals
{
    private const string RuntimeLibrary = "libSystem.Native";
    private const int SIGINT = 2;
    private const int SIGTERM = 15;
    private const int Handled = 1;
    private const int NotHandled = 0;

    private static StopRequest? s_request;

    public static void Deliver(StopRequest request)
    {
        s_request = request;
        if (InitializeSignalHandling() == 0)
        {
            throw new LinuxException("sigaction", Marshal.GetLastPInvokeError(), "signal handling");
        }
        SetSignalHandler(&OnSignal);
        foreach (int signal in (ReadOnlySpan<int>)[SIGTERM, SIGINT])
        {
            if (EnableSignalHandling(signal) == 0)
            {
                throw new LinuxException("sigaction", Marshal.GetLastPInvokeError(), $"signal {signal}");
            }
        }
    }

    /// <returns>0 for what the signal does by default.</returns>
    [UnmanagedCallersOnly]
    private static int OnSignal(int signal, PosixSignal name)
    {
        if (signal is not (SIGTERM or SIGINT))
        {
            return NotHandled;
        }
        s_request!.Request();
        return Handled;
    }

    [LibraryImport(RuntimeLibrary, EntryPoint = "SystemNative_InitializeTerminalAndSignalHandling", SetLastError = true)]
    private static partial int InitializeSignalHandling();

    [LibraryImport(RuntimeLibrary, EntryPoint = "SystemNative_SetPosixSignalHandler")]
    private static partial void SetSignalHandler(delegate* unmanaged<int, PosixSignal, int> handler);

    [LibraryImport(RuntimeLibrary, EntryPoint = "SystemNative_EnablePosixSignalHandling", SetLastError = true)]
    private static partial int EnableSignalHandling(int signal);
}
