using Microsoft.Extensions.Logging;
using VsockPair.Sessions;

namespace VsockPair;

/// <summary>
/// Every line that the two services log. Ids are a contract: 2000 listening, 2100 sessions, 2200 storage, 2300 the services, 2400 watch, 2500 cases; a retired one is never used again.
/// Guest text reaches a line only through TerminalText.EscapeShort.
/// </summary>
internal static partial class CollectorLog
{
    [LoggerMessage(2000, LogLevel.Information, "Listening on {Listener}.")]
    public static partial void Listening(this ILogger log, string listener);

    [LoggerMessage(2001, LogLevel.Information, "No longer listening on {Listener}: its folder or socket is gone.")]
    public static partial void ListenerRemoved(this ILogger log, string listener);

    [LoggerMessage(2002, LogLevel.Warning, "Cannot listen: {Reason}; retrying every second.")]
    public static partial void BindFailed(this ILogger log, string reason);

    [LoggerMessage(2003, LogLevel.Warning, "Cannot accept on {Listener}: {Reason}; dropping the connection or retrying.")]
    public static partial void AcceptFailed(this ILogger log, string listener, string reason);

    [LoggerMessage(2004, LogLevel.Warning, "A connection from vsock {Peer} comes from no guest that is accepted; dropping it.")]
    public static partial void StrangerClosed(this ILogger log, string peer);

    [LoggerMessage(2100, LogLevel.Information, "{Guest} (by {IdentifiedBy}): session for boot {Boot}, kernel {Kernel}, {Vcpus} vCPUs.")]
    public static partial void SessionBegun(this ILogger log, string guest, string identifiedBy, string boot, string kernel, int vcpus);

    [LoggerMessage(2101, LogLevel.Information, "{Guest}: session for boot {Boot} ended: {Reason}.")]
    public static partial void SessionEnded(this ILogger log, string guest, string boot, string reason);

    [LoggerMessage(2102, LogLevel.Warning, "{Guest}: nothing heard of boot {Boot} for {Seconds} s; dropping its session.")]
    public static partial void SessionSilent(this ILogger log, string guest, string boot, int seconds);

    [LoggerMessage(2103, LogLevel.Warning, "{Guest}: {Violation} on {Connection}; dropping the connection.")]
    public static partial void ViolationSeen(this ILogger log, string guest, Violation violation, string connection);

    [LoggerMessage(2104, LogLevel.Warning, "{Guest}: {Count} more lines in one second left out; control.sock has the counters.")]
    public static partial void LinesNotLogged(this ILogger log, string guest, int count);

    [LoggerMessage(2105, LogLevel.Debug, "{Guest}: {Stream} is not read for now: over budget, or the disk is full.")]
    public static partial void StreamPaused(this ILogger log, string guest, string stream);

    [LoggerMessage(2106, LogLevel.Debug, "{Guest}: {Stream} is read again.")]
    public static partial void StreamResumed(this ILogger log, string guest, string stream);

    [LoggerMessage(2107, LogLevel.Information, "{Guest}: stored pstore record {Name}, {Bytes} bytes.")]
    public static partial void PstoreStored(this ILogger log, string guest, string name, long bytes);

    [LoggerMessage(2108, LogLevel.Warning, "{Guest}: file {Name} cannot be stored: {Reason}; dropping it.")]
    public static partial void FileNotStored(this ILogger log, string guest, string name, string reason);

    [LoggerMessage(2109, LogLevel.Error, "{Guest}: a connection brought up a fault of the collector; dropping its session.")]
    public static partial void ConnectionFaulted(this ILogger log, string guest, Exception exception);

    [LoggerMessage(2110, LogLevel.Warning, "{Guest}: metadata file {Name} is not kept: this boot, or all of this guest's together, has as many as it may; ignoring.")]
    public static partial void MetadataRefused(this ILogger log, string guest, string name);

    [LoggerMessage(2112, LogLevel.Information, "{Guest}: stored what the persistent trace ring held of the boot before {Boot}.")]
    public static partial void PreviousStored(this ILogger log, string guest, string boot);

    [LoggerMessage(2111, LogLevel.Information, "{Guest}: trace {Verb} by uid {Uid} ({Wanted}): {Outcome}.")]
    public static partial void TraceChanged(this ILogger log, string guest, string verb, uint uid, string wanted, string outcome);

    [LoggerMessage(2112, LogLevel.Warning, "{Guest}: {Violation} on {Connection}; counted, ignoring.")]
    public static partial void ViolationIgnored(this ILogger log, string guest, Violation violation, string connection);

    [LoggerMessage(2200, LogLevel.Error, "{What} cannot be finished: {Reason}; retrying.")]
    public static partial void StorageJobFailed(this ILogger log, string what, string reason);

    [LoggerMessage(2201, LogLevel.Error, "{Guest}: the store cannot be written: {Reason}.")]
    public static partial void StoreNotWritable(this ILogger log, string guest, string reason);

    [LoggerMessage(2202, LogLevel.Warning, "The disk of the store is full: bulk streams are not read, retrying every second. The guests' rings count what they overwrite.")]
    public static partial void DiskFull(this ILogger log);

    [LoggerMessage(2203, LogLevel.Information, "The disk of the store has room again.")]
    public static partial void DiskHasRoom(this ILogger log);

    [LoggerMessage(2204, LogLevel.Information, "{Guest}: removed {Files} oldest files, {Bytes} bytes ({Why}).")]
    public static partial void RetentionRemoved(this ILogger log, string guest, int files, long bytes, string why);

    [LoggerMessage(2205, LogLevel.Warning, "Housekeeping of {Where} failed: {Reason}; retrying.")]
    public static partial void HousekeepingFailed(this ILogger log, string where, string reason);

    [LoggerMessage(2206, LogLevel.Warning, "{Guest}: {Stream} cannot be stored: {Reason} (error {Count} of this guest's streams so far); not reading it, retrying.")]
    public static partial void StreamNotStored(this ILogger log, string guest, string stream, string reason, long count);

    [LoggerMessage(2207, LogLevel.Information, "{Guest}: not seen for ForgetAfter; removed its {Boots} boots.")]
    public static partial void GuestForgotten(this ILogger log, string guest, int boots);

    [LoggerMessage(2208, LogLevel.Warning, "{What} cannot be compressed: {Reason}; retrying.")]
    public static partial void CompressionFailed(this ILogger log, string what, string reason);

    [LoggerMessage(2209, LogLevel.Warning, "Segments are not compressed: {Reason}; ignoring.")]
    public static partial void NoCompression(this ILogger log, string reason);

    [LoggerMessage(2210, LogLevel.Warning, "Compression cannot have idle priority: {Reason}; ignoring.")]
    public static partial void NotIdle(this ILogger log, string reason);

    [LoggerMessage(2211, LogLevel.Error, "{Segment} is not what its .sum says: the disk has damaged it. It is left as it is, uncompressed.")]
    public static partial void SegmentDamaged(this ILogger log, string segment);

    [LoggerMessage(2212, LogLevel.Warning, "The host's clock was set by {Step} since the start: nothing is removed by its age until it is back, or serve is started again.")]
    public static partial void ClockSet(this ILogger log, TimeSpan step);

    [LoggerMessage(2300, LogLevel.Information, "vsockpair {Version} serves store {Store}.")]
    public static partial void Started(this ILogger log, string version, string store);

    [LoggerMessage(2301, LogLevel.Information, "Stopping: asking {Sessions} agents to end their streams.")]
    public static partial void StopBegun(this ILogger log, int sessions);

    [LoggerMessage(2302, LogLevel.Information, "Stopped: every segment is closed.")]
    public static partial void Stopped(this ILogger log);

    [LoggerMessage(2304, LogLevel.Error, "Stopping: {Folder} cannot be finished: {Reason}; ignoring, the next start tries it again.")]
    public static partial void BootNotFinished(this ILogger log, string folder, string reason);

    [LoggerMessage(2500, LogLevel.Information, "Case {Case}: removed its memory, {Bytes} bytes ({Why}).")]
    public static partial void MemoryRemoved(this ILogger log, string @case, long bytes, string why);

    [LoggerMessage(2501, LogLevel.Information, "Case {Case}: removed, {Bytes} bytes ({Why}).")]
    public static partial void CaseRemoved(this ILogger log, string @case, long bytes, string why);

    [LoggerMessage(2303, LogLevel.Critical, "{Who} failed; the service ends.")]
    public static partial void Faulted(this ILogger log, string who, Exception exception);

    [LoggerMessage(2400, LogLevel.Information, "{Guest}: connected to {Source}, CID {Cid}.")]
    public static partial void MachineConnected(this ILogger log, string guest, string source, string cid);

    [LoggerMessage(2401, LogLevel.Information, "{Guest}: {Source} is gone.")]
    public static partial void MachineGone(this ILogger log, string guest, string source);

    [LoggerMessage(2402, LogLevel.Warning, "{Guest}: no connection to its machine: {Reason}; retrying.")]
    public static partial void MachineNotReached(this ILogger log, string guest, string reason);

    [LoggerMessage(2403, LogLevel.Warning, "{Guest}: what its machine did on a panic before cannot be restored: {Reason}; ignoring.")]
    public static partial void NotRestored(this ILogger log, string guest, string reason);

    [LoggerMessage(2404, LogLevel.Warning, "Machines cannot be looked for: {Reason}; retrying.")]
    public static partial void LookFailed(this ILogger log, string reason);

    [LoggerMessage(2405, LogLevel.Error, "{Guest}: its identity cannot be published: {Reason}; ignoring, serve knows it by its CID.")]
    public static partial void IdentityNotWritten(this ILogger log, string guest, string reason);

    [LoggerMessage(2406, LogLevel.Information, "libvirt {Uri}: connected.")]
    public static partial void LibvirtConnected(this ILogger log, string uri);

    [LoggerMessage(2407, LogLevel.Warning, "libvirt {Uri}: no connection: {Reason}; retrying.")]
    public static partial void LibvirtNotReached(this ILogger log, string uri, string reason);

    [LoggerMessage(2408, LogLevel.Warning, "Domain {Domain} is stored as {Name}, for a guest's name is {Rule}; [Guest NAME] Uuid= gives it another.")]
    public static partial void DomainRenamed(this ILogger log, string domain, string name, string rule);

    [LoggerMessage(2410, LogLevel.Warning, "Case {Case} ({Kind}).")]
    public static partial void CaseOpened(this ILogger log, string @case, string kind);

    [LoggerMessage(2411, LogLevel.Warning, "Case {Case}: an earlier watch has left it open, going on.")]
    public static partial void CaseAdopted(this ILogger log, string @case);

    [LoggerMessage(2412, LogLevel.Warning, "Case {Case}: memory taken: {Taken}; {Reason}.")]
    public static partial void MemoryNotTaken(this ILogger log, string @case, string taken, string reason);

    [LoggerMessage(2413, LogLevel.Information, "Case {Case}: its guest goes on after {Seconds:F1} s; memory taken: {Taken}.")]
    public static partial void CaseReleased(this ILogger log, string @case, string taken, double seconds);

    [LoggerMessage(2414, LogLevel.Error, "{Guest}: its machine does not go on: {Reason}; retrying.")]
    public static partial void NotReleased(this ILogger log, string guest, string reason);

    [LoggerMessage(2415, LogLevel.Error, "{Case}: cannot be written: {Reason}; its guest is not held for it.")]
    public static partial void CaseNotWritten(this ILogger log, string @case, string reason);

    [LoggerMessage(2416, LogLevel.Warning, "{Guest}: more than {Most} cases in a day; counted in {Case}.")]
    public static partial void TooManyCases(this ILogger log, string guest, int most, string @case);

    [LoggerMessage(2417, LogLevel.Information, "Case {Case} is closed: {Parts} parts, {Missing} missing.")]
    public static partial void CaseClosed(this ILogger log, string @case, int parts, int missing);

    [LoggerMessage(2418, LogLevel.Error, "Case {Case}: {Program} failed: {Reason}.")]
    public static partial void ProgramFailed(this ILogger log, string @case, string program, string reason);

    [LoggerMessage(2419, LogLevel.Information, "{Guest}: its memory is taken for uid {Uid}.")]
    public static partial void DumpOrdered(this ILogger log, string guest, uint uid);
}
