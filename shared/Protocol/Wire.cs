namespace VsockPair.Protocol;

/// <summary>Numbers of the wire that both programs share. Spec: <c>shared/PROTOCOL.md</c>.</summary>
public static class Wire
{
    public const uint Port = 829;

    public const uint OldestVersion = 1;
    public const uint NewestVersion = 1;

    /// <summary>
    /// Most bytes of one frame, its length prefix included. A payload of 28672 bytes is always one linear skb in the guest kernel,
    /// so frames pass also where larger packets are lost.
    /// </summary>
    public const int MaxFrameBytes = 28672;

    /// <summary>Most bytes of one send on a path that loses large packets.</summary>
    public const int CappedSendBytes = 28672;

    /// <summary>Most bytes of a Hello, its length prefix included: what a peer without a session may make the collector hold.</summary>
    public const int MaxHelloBytes = 4096;

    public const int MaxStringBytes = 1024;
    public const int MaxNotes = 16;
    public const int MaxReadinessChecks = 32;
    public const int MaxFileChunkBytes = 24576;
    public const int MaxKmsgRecordBytes = 8192;
    public const int MaxKmsgBatchBytes = 3 * MaxKmsgRecordBytes;
    public const int MaxBuildIdBytes = 32;
    public const int ProbeBytes = 65536;

    /// <summary>Most events, filters or functions of one trace request, and all its text together.</summary>
    public const int MaxTraceItems = 64;
    public const int MaxTraceTextChars = 4096;
    public const int MaxTraceSeconds = 86400;

    /// <summary>Most event names of one answer.</summary>
    public const int MaxTraceEvents = 1024;
    public const int MinTraceBufferKb = 16;
    public const int MaxTraceBufferKb = 1 << 20;

    /// <summary>Sub-buffers are 2^n pages: 4 KiB to 512 KiB (<c>buffer_subbuf_size_kb</c>, order 0 to 7).</summary>
    public const int MinSubBufferBytes = 4096;
    public const int MaxSubBufferBytes = 524288;

    public static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(5);
    public static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(5);
    public static readonly TimeSpan DeadAfter = TimeSpan.FromSeconds(15);
    public static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(10);

    /// <summary>How long the collector waits for the answer to a trace request: the agent has event formats stored first, and may have to drain its rings.</summary>
    public static readonly TimeSpan TraceTimeout = TimeSpan.FromSeconds(30);

    public static readonly TimeSpan ProbeTimeout = TimeSpan.FromSeconds(2);

    /// <summary>How long the collector drains an older bulk connection, and the agent waits for a clean close.</summary>
    public static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(2);
}
