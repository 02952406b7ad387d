namespace VsockPair.Sessions;

/// <summary>What a peer did that PROTOCOL.md §10 lists, and why else a connection was closed. Each kind is a counter of its guest and one wording in the log.</summary>
internal enum Violation
{
    BadFrameLength,
    BadFrame,
    UnexpectedMessage,
    BadHello,
    VersionNotSpoken,
    PortNotPrivileged,
    UnknownToken,
    CpuOutOfRange,
    BadSubBufferSize,
    TooManyConnections,
    SilentHandshake,
    StalledFrame,
    NeverReads,
    UnaskedPong,
    UnaskedTraceAnswer,
    BadFileOffer,
    BadFileChunk,
    FileHashMismatch,
    BadKmsgRecord,
    BadBulkRecord,
    BadProbe,

    /// <summary>Figures of a bulk Hello that cannot be: counted, and the connection goes on.</summary>
    CountersDoNotAddUp,

    /// <summary>Events inside a valid sub-buffer that could not be walked: stored and counted, the connection goes on.</summary>
    UnwalkableEvents,

    /// <summary>Its streams together held more unfinished records than one guest may.</summary>
    TooMuchCarried,

    /// <summary>None of the peer's: an exception of the collector's that ended the session in which it came up.</summary>
    CollectorFault,
}
