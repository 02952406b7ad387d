namespace VsockPair.Watch;

/// <summary>What libvirt's events and states mean. Those that are not here say nothing of a crash, and are left out. Numbers are libvirt-domain.h's.</summary>
internal static class LibvirtEvents
{
    public const int VIR_DOMAIN_EVENT_STARTED = 2;
    public const int VIR_DOMAIN_EVENT_SUSPENDED = 3;
    public const int VIR_DOMAIN_EVENT_RESUMED = 4;
    public const int VIR_DOMAIN_EVENT_STOPPED = 5;
    public const int VIR_DOMAIN_EVENT_SHUTDOWN = 6;
    public const int VIR_DOMAIN_EVENT_CRASHED = 8;

    private const int VIR_DOMAIN_EVENT_CRASHED_PANICKED = 0;
    private const int VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED = 1;

    private const int VIR_DOMAIN_RUNNING = 1;
    private const int VIR_DOMAIN_BLOCKED = 2;
    private const int VIR_DOMAIN_PAUSED = 3;
    private const int VIR_DOMAIN_SHUTDOWN = 4;
    private const int VIR_DOMAIN_SHUTOFF = 5;
    private const int VIR_DOMAIN_CRASHED = 6;

    /// <summary>A domain that is gone altogether.</summary>
    public static readonly (int State, int Reason) Off = (VIR_DOMAIN_SHUTOFF, 0);

    private static readonly string[] ShutdownReasons = ["finished", "guest", "host"];

    /// <summary>virDomainEventWatchdogAction.</summary>
    private static readonly string[] WatchdogActions = ["none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi"];

    /// <summary>virDomainPausedReason.</summary>
    private static readonly HashSet<int> PausedByOrder = [0 /* unknown */, 1 /* user */, 4 /* dump */, 10 /* crashed, then reset */, 11 /* starting up */];

    public static (MachineEventKind Kind, string? Detail)? OfLifecycle(int happened, int detail) => (happened, detail) switch
    {
        (VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED) => (MachineEventKind.Panicked, null),
        (VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED) => (MachineEventKind.CrashLoaded, null),
        (VIR_DOMAIN_EVENT_SUSPENDED, _) => (MachineEventKind.Stopped, null),
        (VIR_DOMAIN_EVENT_RESUMED, _) => (MachineEventKind.Resumed, null),
        (VIR_DOMAIN_EVENT_SHUTDOWN, _) => (MachineEventKind.Shutdown, ShutdownReasons.ElementAtOrDefault(detail)),
        _ => null,
    };

    /// <summary>Without a VMM.</summary>
    public static bool IsOff(int state) => state == VIR_DOMAIN_SHUTOFF;

    public static string OfWatchdog(int action) => WatchdogActions.ElementAtOrDefault(action) ?? $"{action}";

    public static MachineState OfState(int state, int reason) => state switch
    {
        VIR_DOMAIN_RUNNING or VIR_DOMAIN_BLOCKED => MachineState.Running,
        VIR_DOMAIN_PAUSED => PausedByOrder.Contains(reason) ? MachineState.Paused : MachineState.Other,
        VIR_DOMAIN_SHUTDOWN or VIR_DOMAIN_SHUTOFF => MachineState.Shutdown,
        VIR_DOMAIN_CRASHED => MachineState.Panicked,
        _ => MachineState.Other,
    };
}
