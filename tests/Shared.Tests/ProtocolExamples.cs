using System.Buffers.Binary;
using System.Text;
using VsockPair.Protocol;

namespace VsockPair.Shared.Tests;

/// <summary>The messages behind the worked examples of PROTOCOL.md, by the name of their block.</summary>
internal static class ProtocolExamples
{
    private static readonly Guid Boot = Guid.Parse("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9");
    private static readonly Guid Instance = Guid.Parse("11111111-2222-3333-4444-555555555555");
    private static readonly Guid Session = Guid.Parse("0f0e0d0c-0b0a-0908-0706-050403020100");
    private static readonly Guid Token = Guid.Parse("a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
    private static readonly Guid Generation = Guid.Parse("deadbeef-0000-0000-0000-000000000001");
    private static readonly byte[] Sha256 = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    public static IReadOnlyDictionary<string, ProtocolExample> All { get; } = new Dictionary<string, ProtocolExample>
    {
        ["hello-control"] = ProtocolExample.Of(new Hello
        {
            OldestVersion = 1,
            NewestVersion = 1,
            Kind = ConnectionKind.Control,
            BootId = Boot,
            Control = new ControlHello
            {
                AgentInstance = Instance,
                PreviousSession = Guid.Empty,
                AgentVersion = "0.1.0",
                KernelRelease = "6.12.0-amd64",
                KernelVersion = "#1 SMP",
                Machine = "x86_64",
                NodeName = "web1",
                BuildId = new byte[] { 1, 2, 3, 4 },
                PossibleCpus = 4,
                SubBufferBytes = 65536,
                TraceClock = "boot",
                Notes = ["no pstore"],
                Capabilities = AgentCapabilities.TraceControl,
                BootClock = 5_000_000_000,
            },
        }),
        ["hello-kmsg"] = ProtocolExample.Of(Connection(ConnectionKind.Kmsg)),
        ["hello-bulk"] = ProtocolExample.Of(Connection(ConnectionKind.Bulk) with
        {
            Bulk = new BulkHello { Cpu = 3, SubBufferBytes = 65536, Generation = Generation, ReadEvents = 70000, LostEvents = 12 },
        }),
        ["hello-probe"] = ProtocolExample.Of(Connection(ConnectionKind.Probe) with { ProbeBytes = 65536 }),
        ["welcome"] = ProtocolExample.Of(new Welcome(1, Session, Token, 4711, 1024, CollectorCapabilities.PreviousTrace)),
        ["refusal"] = ProtocolExample.Of(new Refusal(RefusalReason.NoSuchSession, "no such session")),
        ["heartbeat"] = ProtocolExample.Of(new Heartbeat(7)),
        ["ping"] = ProtocolExample.Of(new Ping(9, WithLocalClock: true)),
        ["pong"] = ProtocolExample.Of(new Pong(9, 5_000_000_000, 1_700_000_000_000_000_000, 4_999_000_000, 5_000_010_000, 900)),
        ["stop"] = ProtocolExample.Of(new Stop("restart")),
        ["goodbye"] = ProtocolExample.Of(new Goodbye("stopped")),
        ["stream-counters"] = ProtocolExample.Of(new StreamCounters(3, Generation, 70000, 12, Final: true)),
        ["events-left"] = ProtocolExample.Of(new EventsLeft(3, Generation, 70)),
        ["readiness"] = ProtocolExample.Of(new Readiness(
        [
            new ReadinessCheck("panic-timeout", CheckState.Missing, "kernel.panic is 0", "sysctl -w kernel.panic=10"),
            new ReadinessCheck("btf", CheckState.Ok, "there", ""),
        ])),
        ["file-offer"] = ProtocolExample.Of(new FileOffer(1, OfferedKind.Pstore, "dmesg-ramoops-0", 29000, 1_700_000_000_000_000_000, Sha256)),
        ["file-answer"] = ProtocolExample.Of(new FileAnswer(1, OfferAnswer.Want)),
        ["file-chunk"] = new ProtocolExample(buffer => new FileChunk(1, 0, "Panic"u8).Encode(buffer), EncodeChunkAgain),
        ["file-stored"] = ProtocolExample.Of(new FileStored(1)),
        ["file-gone"] = ProtocolExample.Of(new FileGone(1)),
        ["kmsg-records"] = new ProtocolExample(buffer => KmsgRecords.Encode("6,42,1000,-;hello\n"u8, buffer), EncodeRecordsAgain),
        ["kmsg-ack"] = ProtocolExample.Of(new KmsgAck(42)),
        ["probe-result"] = ProtocolExample.Of(new ProbeResult(65536)),
        ["trace-request"] = ProtocolExample.Of(new TraceRequest(1, TraceVerb.Set, Kmalloc with { BufferKb = 0 }, 30)),
        ["trace-answer"] = ProtocolExample.Of(new TraceAnswer(1, "", Kmalloc, 1, 5, 29_995)),
        ["tail"] = new ProtocolExample(EncodeTail, EncodeTailAgain),
    };

    private static TraceSettings Kmalloc => TraceSettings.None with { Events = ["kmem:kmalloc"], Filters = ["kmem:kmalloc bytes_req > 4096"], BufferKb = 1024, DynamicDebug = ["module kvm +p"] };

    private static Hello Connection(ConnectionKind kind) => new() { OldestVersion = 1, NewestVersion = 1, Kind = kind, BootId = Boot, Token = Token };

    private static int EncodeChunkAgain(ReadOnlySpan<byte> body, Span<byte> buffer) =>
        FileChunk.TryDecode(body, out FileChunk chunk) ? chunk.Encode(buffer) : -1;

    private static int EncodeRecordsAgain(ReadOnlySpan<byte> body, Span<byte> buffer) =>
        KmsgRecords.TryDecode(body, out ReadOnlySpan<byte> records) ? KmsgRecords.Encode(records, buffer) : -1;

    private static int EncodeTail(Span<byte> buffer)
    {
        const int Used = 16 + 28 + 12;
        buffer[..(BulkRecord.TailPrefixBytes + Used)].Clear();
        BulkRecord.WriteTailPrefix(buffer, Used);
        Span<byte> page = buffer[BulkRecord.TailPrefixBytes..];
        BinaryPrimitives.WriteUInt64LittleEndian(page, 5_000_000_000);
        BinaryPrimitives.WriteUInt64LittleEndian(page[8..], 28 + 12);
        BinaryPrimitives.WriteUInt32LittleEndian(page[16..], 24 / 4);
        Encoding.ASCII.GetBytes("24 bytes of an event....", page[20..]);
        BinaryPrimitives.WriteUInt32LittleEndian(page[44..], (1000 << 5) | (8 / 4));
        Encoding.ASCII.GetBytes("8 bytes.", page[48..]);
        return BulkRecord.TailPrefixBytes + Used;
    }

    private static int EncodeTailAgain(ReadOnlySpan<byte> bytes, Span<byte> buffer)
    {
        if (BulkRecord.TryTake(bytes, 4096, out int prefix, out int length, out _) != BulkRecordState.Whole)
        {
            return -1;
        }
        BulkRecord.WriteTailPrefix(buffer, length);
        bytes.Slice(prefix, length).CopyTo(buffer[prefix..]);
        return prefix + length;
    }
}
