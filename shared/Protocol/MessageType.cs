namespace VsockPair.Protocol;

/// <summary>First element of every frame. The table with directions stands in PROTOCOL.md; a retired number is never used again.</summary>
public enum MessageType : uint
{
    Hello = 1,
    Welcome = 2,
    Refusal = 3,

    Heartbeat = 10,
    Ping = 11,
    Pong = 12,
    Stop = 13,
    Goodbye = 14,

    StreamCounters = 20,
    EventsLeft = 21,
    Readiness = 22,

    FileOffer = 30,
    FileAnswer = 31,
    FileChunk = 32,
    FileStored = 33,
    FileGone = 34,

    KmsgRecords = 40,
    KmsgAck = 41,

    ProbeResult = 50,

    TraceRequest = 60,
    TraceAnswer = 61,
}
