namespace VsockPair.HostCollector.Tests.Watch;

/// <summary>Lines as QEMU 10.0 wrote them.</summary>
internal static class QmpLine
{
    public const string Greeting = """{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian 1:10.0.2+ds-2+deb13u1~bpo12+1"}, "capabilities": ["oob"]}}""";
    public const string Panicked = """{"timestamp": {"seconds": 1795522471, "microseconds": 668734}, "event": "GUEST_PANICKED", "data": {"action": "pause"}}""";
    public const string HyperV = """{"event": "GUEST_PANICKED", "data": {"action": "pause", "info": {"type": "hyper-v", "arg1": 1, "arg2": 2, "arg3": 3, "arg4": 4, "arg5": 5}}, "timestamp": {"seconds": 1795522471, "microseconds": 668734}}""";
    public const string Reset = """{"timestamp": {"seconds": 1795522472, "microseconds": 176755}, "event": "RESET", "data": {"guest": false, "reason": "host-qmp-system-reset"}}""";
    public const string Resume = """{"timestamp": {"seconds": 1795522472, "microseconds": 177082}, "event": "RESUME"}""";
    public const string Watchdog = """{"timestamp": {"seconds": 1795522472, "microseconds": 177082}, "event": "WATCHDOG", "data": {"action": "reset"}}""";
    public const string DumpCompleted = """{"timestamp": {"seconds": 1795522471, "microseconds": 694525}, "event": "DUMP_COMPLETED", "data": {"result": {"total": 67371008, "status": "completed", "completed": 67371008}}}""";
    public const string DumpFailed = """{"timestamp": {"seconds": 1795522471, "microseconds": 694525}, "event": "DUMP_COMPLETED", "data": {"result": {"total": 67371008, "status": "failed", "completed": 4096}, "error": "dump: failed to save memory: No space left on device"}}""";
    public const string Status = """{"return": {"status": "guest-panicked", "running": false}, "id": 7}""";
    public const string Devices = """{"return": [{"name": "type", "type": "string"}, {"name": "device[0]", "type": "child<pvpanic-pci>"}], "id": 8}""";
    public const string Error = """{"id": 9, "error": {"class": "GenericError", "desc": "dump: no guest memory to dump"}}""";

    public static readonly string[] All = [Greeting, Panicked, HyperV, Reset, Resume, Watchdog, DumpCompleted, DumpFailed, Status, Devices, Error];
}
