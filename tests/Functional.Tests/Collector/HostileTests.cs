using System.Buffers.Binary;
using System.Text;
using VsockPair.Options;
using VsockPair.Protocol;
using VsockPair.Sessions;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>
/// Every malformed input of PROTOCOL.md §10: it closes the connection that it came on and no other of that guest's, unless it was the control connection; it is counted;
/// and a good guest on the same collector notices nothing.
/// </summary>
public sealed class HostileTests : IDisposable
{
    private const string GoodName = "good";

    private readonly TestStore _store = new();
    private readonly InProcessCollector _collector;
    private readonly ScriptedGuest _good;
    private readonly ScriptedGuest _bad;

    private ulong _bystanderNext;

    private string GoodSocket => Path.Combine(_store.Root, "good.sock");

    public HostileTests()
    {
        _collector = new InProcessCollector(
            _store,
            o => o with { Listen = o.Listen with { Specs = [new HybridListen(GoodSocket, GoodName), .. o.Listen.Specs] } },
            new SessionTimes { Handshake = TimeSpan.FromSeconds(3), AcceptsPerSecond = 1000 });
        _good = new ScriptedGuest(GoodSocket + "_829");
        _bad = new ScriptedGuest(_store.Socket);
    }

    [Fact]
    public async Task Each_malformed_input_closes_its_connection_and_a_good_guest_loses_nothing()
    {
        _good.Connect();
        ScriptedGuestRing goodRing = new(0);
        using ScriptedGuestLink goodBulk = _good.OpenBulk(goodRing);
        using ScriptedGuestLink goodKmsg = _good.OpenKmsg(out _);
        ulong sequence = 0;
        ScriptedGuestRing bystanderRing = new(0);
        foreach (Attack attack in Attacks())
        {
            long before = Count(attack.Expected);
            _bad.PreviousSession = Guid.Empty;
            _bad.Connect();
            // A kmsg connection of the attack's would take the place of another.
            using ScriptedGuestLink bystander = attack.On == ConnectionKind.Kmsg ? _bad.OpenBulk(bystanderRing) : _bad.OpenKmsg(out _bystanderNext);
            attack.Run();
            TestStore.Await(() => Count(attack.Expected) > before, $"{attack.Expected} is counted");
            if (attack.On == ConnectionKind.Control)
            {
                bystander.AwaitClosed();
            }
            else
            {
                AssertServed(bystander, attack.On == ConnectionKind.Kmsg ? bystanderRing : null);
            }
            goodBulk.SendBytes(goodRing.TakeSubBuffers(4));
            ScriptedGuest.SendKmsg(goodKmsg, ScriptedGuest.KmsgRecord(sequence, "still here"));
            Assert.Equal(sequence++, goodKmsg.Receive<KmsgAck>().Sequence);
        }
        goodBulk.ShutDown();
        goodBulk.AwaitClosed();
        _good.Stop(goodRing);
        string boot = Storage.StorePaths.Boot(Storage.StorePaths.Guest(_store.Folder, GoodName), _good.BootId, 0);
        await _collector.StopAsync();
        Assert.Equal((long)goodRing.ReadEvents, TestStore.StoredEvents(boot, 0));
        Assert.Empty(TestStore.Losses(boot));
        Assert.Equal(0, await _collector.Run);
    }

    /// <param name="On">The connection that is to be closed; what is refused at its Hello counts as bulk.</param>
    private sealed record Attack(Violation Expected, Action Run, ConnectionKind On = ConnectionKind.Bulk);

    /// <summary>The session goes on, and so does another connection of it.</summary>
    private void AssertServed(ScriptedGuestLink bystander, ScriptedGuestRing? ring)
    {
        if (ring is null)
        {
            ScriptedGuest.SendKmsg(bystander, ScriptedGuest.KmsgRecord(_bystanderNext, "a bystander"));
            Assert.Equal(_bystanderNext, bystander.Receive<KmsgAck>().Sequence);
        }
        else
        {
            bystander.SendBytes(ring.TakeSubBuffer());
            TestStore.Await(() => _collector.Status.Guests.Single(g => g.Name == TestStore.GuestName).Boots.SelectMany(b => b.Streams).Single(s => s.Stream == "cpu0").StoredEvents == ring.ReadEvents, "the bystander's stream is stored");
        }
        Assert.Equal(OfferAnswer.Have, _bad.OfferFile(OfferedKind.Metadata, "notes", []));
    }

    private IEnumerable<Attack> Attacks()
    {
        yield return new(Violation.VersionNotSpoken, () => AssertRefused(_bad.ControlHello with { OldestVersion = 7, NewestVersion = 9 }, RefusalReason.VersionNotSpoken));
        yield return new(Violation.BadFrameLength, () => SendAndAwaitClosed(_bad.OpenLink(), [0, 0, 0, 0]));
        yield return new(Violation.BadFrameLength, () => SendAndAwaitClosed(_bad.OpenLink(), [255, 255, 255, 127]));
        yield return new(Violation.BadFrameLength, () => SendAndAwaitClosed(_bad.OpenLink(), Prefixed(5000)));
        yield return new(Violation.BadHello, () => SendAndAwaitClosed(_bad.OpenLink(), Framed([0xC1, 0xC1])));
        yield return new(Violation.BadHello, () => SendAndAwaitClosed(_bad.OpenLink(), Framed([0x91, 0x01])));
        yield return new(Violation.BadHello, () => SendAndAwaitClosed(_bad.OpenLink(), Encode(new Heartbeat(1))));
        yield return new(Violation.BadHello, () => SendAndAwaitClosed(_bad.OpenLink(), Framed([0xDD, 0xFF, 0xFF, 0xFF, 0xFF])));
        yield return new(Violation.BadHello, () => SendAndAwaitClosed(_bad.OpenLink(), WithKind(9)));
        yield return new(Violation.UnexpectedMessage, () => SendAndAwaitClosed(_bad.OpenLink(), [.. Encode(_bad.ControlHello), .. Encode(new Heartbeat(1))]));
        yield return new(Violation.BadFrame, () =>
        {
            using ScriptedGuestLink link = _bad.OpenLink();
            link.SendBytes(Encode(_bad.ControlHello).AsSpan(0, 20));
            link.ShutDown();
            link.AwaitClosed();
        });
        yield return new(Violation.SilentHandshake, () => SendAndAwaitClosed(_bad.OpenLink(), []));
        yield return new(Violation.SilentHandshake, () => SendAndAwaitClosed(_bad.OpenLink(), Encode(_bad.ControlHello).AsSpan(0, 20)));
        yield return new(Violation.UnknownToken, () => AssertRefused(_bad.OtherHello(ConnectionKind.Kmsg) with { Token = Guid.NewGuid() }, RefusalReason.NoSuchSession));
        yield return new(Violation.UnknownToken, () => AssertRefused(_bad.OtherHello(ConnectionKind.Kmsg) with { Token = _good.Session.Token, BootId = _good.BootId }, RefusalReason.NoSuchSession));
        yield return new(Violation.CpuOutOfRange, () => AssertBulkRefused(new BulkHello { Cpu = 1024, SubBufferBytes = 4096 }, RefusalReason.CpuOutOfRange));
        yield return new(Violation.CpuOutOfRange, () => AssertBulkRefused(new BulkHello { Cpu = _bad.Cpus, SubBufferBytes = 4096 }, RefusalReason.CpuOutOfRange));
        yield return new(Violation.CpuOutOfRange, () => AssertBulkRefused(new BulkHello { Cpu = int.MaxValue, SubBufferBytes = 4096 }, RefusalReason.CpuOutOfRange));
        foreach (int size in (int[])[0, 1, 2048, 5000, 1 << 20, int.MaxValue])
        {
            yield return new(Violation.BadSubBufferSize, () => AssertBulkRefused(new BulkHello { SubBufferBytes = size }, RefusalReason.SubBufferSize));
        }
        yield return new(Violation.BadSubBufferSize, () =>
        {
            ScriptedGuestRing ring = new(3);
            _bad.OpenBulk(ring).Dispose();
            AssertRefused(_bad.HelloFor(ring) with { Bulk = ring.Hello with { SubBufferBytes = 8192 } }, RefusalReason.SubBufferSize);
        });
        foreach ((Violation violation, byte[] bytes) in ControlAttacks())
        {
            yield return new(violation, () => SendAndAwaitClosed(_bad.Control, bytes), ConnectionKind.Control);
        }
        // A peer that answers nothing: what ScriptedGuest sends on a control connection by itself would be the rest of the frame.
        yield return new(Violation.StalledFrame, () =>
        {
            using ScriptedGuestLink link = _bad.OpenLink();
            link.Send(_bad.ControlHello);
            link.Receive<Welcome>();
            link.SendBytes(Encode(new Heartbeat(1)).AsSpan(0, 5));
            link.AwaitClosed();
        }, ConnectionKind.Control);
        foreach (Func<ulong, string> records in KmsgAttacks())
        {
            yield return OnKmsg(Violation.BadKmsgRecord, (link, next) => ScriptedGuest.SendKmsg(link, records(next)));
        }
        yield return OnKmsg(Violation.UnexpectedMessage, (link, _) => link.Send(new Heartbeat(1)));
        yield return OnKmsg(Violation.BadFrameLength, (link, _) => link.SendBytes([255, 255, 0, 0]));
        yield return OnKmsg(Violation.StalledFrame, (link, _) => link.SendBytes([20, 0, 0, 0, 0x92]));
        yield return OnKmsg(Violation.NeverReads, (link, next) =>
        {
            // An acknowledgement for all that one receive brings, of which 64 KiB wait for a peer that takes none: of large frames that is one, of small ones hundreds.
            byte[] frame = new byte[Wire.MaxFrameBytes];
            string text = new('x', 8000);
            while (link.TrySendBytes(frame.AsSpan(0, KmsgRecords.Encode(Encoding.UTF8.GetBytes(ScriptedGuest.KmsgRecord(next++, text) + ScriptedGuest.KmsgRecord(next++, text)), frame))))
            {
            }
        });
        yield return new(Violation.BadBulkRecord, () => AttackBulk(TailOf(15)));
        yield return new(Violation.BadBulkRecord, () => AttackBulk(TailOf(uint.MaxValue)));
        yield return new(Violation.BadBulkRecord, () => AttackBulk(TailOf(4097)));
        yield return new(Violation.BadBulkRecord, () => AttackBulk([.. TailOf(100), .. new byte[100]]));
        yield return new(Violation.BadBulkRecord, () => AttackBulk(Commit(4081)));
        yield return new(Violation.BadBulkRecord, () => AttackBulk(Commit(0xFFFFF)));
        yield return new(Violation.UnwalkableEvents, () =>
        {
            ScriptedGuestRing ring = new(2);
            using ScriptedGuestLink link = _bad.OpenBulk(ring);
            byte[] page = Commit(64);
            page.AsSpan(16, 64).Fill(0xFC);
            link.SendBytes(page);
            link.ShutDown();
            link.AwaitClosed();
        });
        yield return new(Violation.BadProbe, () =>
        {
            AssertClosed(_bad.OtherHello(ConnectionKind.Probe) with { ProbeBytes = 0 });
        });
        yield return new(Violation.TooManyConnections, () =>
        {
            List<ScriptedGuestLink> links = [];
            for (int i = 0; i < 30; i++)
            {
                links.Add(_bad.OpenLink());
            }
            links[^1].AwaitClosed();
            links.ForEach(l => l.Dispose());
            // The slots come back once the collector has seen the ends.
            TestStore.Await(() => _collector.Status.Guests.Single(g => g.Name == TestStore.GuestName).Connections <= 2, "the slots are back");
        });
    }

    private IEnumerable<(Violation Violation, byte[] Bytes)> ControlAttacks()
    {
        byte[] hash = new byte[32];
        yield return (Violation.BadFrameLength, [0, 0, 0, 0]);
        yield return (Violation.BadFrameLength, Prefixed(28669));
        yield return (Violation.BadFrame, Framed([0xC0]));
        yield return (Violation.BadFrame, Framed([0x91, 0x0A]));
        yield return (Violation.UnexpectedMessage, Encode(_bad.ControlHello));
        yield return (Violation.UnexpectedMessage, Encode(new Welcome(1, Guid.Empty, Guid.Empty, 0, 1)));
        yield return (Violation.UnexpectedMessage, Encode(new Stop("me too")));
        yield return (Violation.UnexpectedMessage, Encode(new KmsgAck(1)));
        yield return (Violation.UnaskedPong, Encode(new Pong(12345, 1, 1, null, null, null)));
        yield return (Violation.CpuOutOfRange, Encode(new StreamCounters(_bad.Cpus, Guid.NewGuid(), 1, 1, false)));
        yield return (Violation.CpuOutOfRange, Encode(new StreamCounters(5000, Guid.NewGuid(), 1, 1, false)));
        yield return (Violation.BadFileChunk, Chunk(77, 0, [1]));
        yield return (Violation.BadFileOffer, Encode(new FileOffer(1, OfferedKind.Metadata, "events/../../etc/passwd", 1, 0, hash)));
        yield return (Violation.BadFileOffer, Encode(new FileOffer(1, OfferedKind.Pstore, "a\nb", 1, 0, hash)));
        yield return (Violation.BadFileOffer, Framed([0x97, 0x1E, 0x01, 0x00, 0xDA, 0x04, 0x01, .. Encoding.ASCII.GetBytes(new string('n', 1025)), 0x01, 0x00, 0xC4, 0x20, .. hash]));
        yield return (Violation.BadFileOffer, [.. Encode(new FileOffer(1, OfferedKind.Metadata, "btf", 1, 0, hash)), .. Encode(new FileOffer(1, OfferedKind.Metadata, "notes", 1, 0, hash))]);
        byte[] offer = Encode(new FileOffer(1, OfferedKind.Metadata, "btf", 3, 0, Guid.NewGuid().ToByteArray().Concat(new byte[16]).ToArray()));
        yield return (Violation.BadFileChunk, [.. offer, .. Chunk(1, 1, [1])]);
        yield return (Violation.BadFileChunk, [.. offer, .. Chunk(1, 0, [1, 2, 3, 4])]);
        yield return (Violation.BadFileChunk, [.. offer, .. Chunk(1, 0, [1]), .. Chunk(1, 0, [1])]);
        yield return (Violation.FileHashMismatch, [.. offer, .. Chunk(1, 0, [1, 2, 3])]);
    }

    private long Count(Violation violation) =>
        _collector.Status.Guests.SingleOrDefault(g => g.Name == TestStore.GuestName)?.Violations.GetValueOrDefault(violation.ToString()) ?? 0;

    private static void SendAndAwaitClosed(ScriptedGuestLink link, ReadOnlySpan<byte> bytes)
    {
        using ScriptedGuestLink closing = link;
        link.TrySendBytes(bytes);
        link.AwaitClosed();
    }

    private void AssertClosed(Hello hello)
    {
        using ScriptedGuestLink link = _bad.OpenLink();
        link.Send(hello);
        link.AwaitClosed();
    }

    private void AssertRefused(Hello hello, RefusalReason reason)
    {
        RefusedException refused = Assert.Throws<RefusedException>(() => _bad.Open(hello, out _));
        Assert.Equal(reason, refused.Refusal.Reason);
    }

    private void AssertBulkRefused(BulkHello bulk, RefusalReason reason) => AssertRefused(_bad.OtherHello(ConnectionKind.Bulk) with { Bulk = bulk }, reason);

    private Attack OnKmsg(Violation expected, Action<ScriptedGuestLink, ulong> attack) => new(expected, () =>
    {
        using ScriptedGuestLink link = _bad.OpenKmsg(out ulong next);
        attack(link, next);
        link.AwaitClosed();
    }, ConnectionKind.Kmsg);

    /// <summary>Each from the first record that the collector lacks, and wrong for one reason alone.</summary>
    private static IEnumerable<Func<ulong, string>> KmsgAttacks() =>
    [
        _ => "garbage\n",
        next => $"6,{next},1,-;no end",
        _ => "6,x,1,-;text\n",
        _ => "6,99999999999999999999999,1,-;text\n",
        next => $"6,{next},1,-;a\n6,{next},1,-;again\n",
        next => $"6,{next + 1},1,-;a\n6,{next},1,-;falls\n",
        next => $"6,{next - 1},1,-;is stored already\n",
        _ => " first line is a continuation\n",
        next => ScriptedGuest.KmsgRecord(next, new string('x', 8200)),
    ];

    private void AttackBulk(byte[] bytes)
    {
        using ScriptedGuestLink link = _bad.OpenBulk(new ScriptedGuestRing(1));
        link.TrySendBytes(bytes);
        link.AwaitClosed();
    }

    private static byte[] Encode<T>(in T message) where T : struct, IMessage<T>
    {
        byte[] frame = new byte[Wire.MaxFrameBytes];
        return frame[..Frame.Encode(message, frame)];
    }

    private static byte[] Chunk(uint id, long offset, byte[] bytes)
    {
        byte[] frame = new byte[Wire.MaxFrameBytes];
        return frame[..new FileChunk(id, offset, bytes).Encode(frame)];
    }

    private static byte[] Prefixed(int length)
    {
        byte[] prefix = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(prefix, length);
        return prefix;
    }

    private static byte[] Framed(byte[] body) => [.. Prefixed(body.Length), .. body];

    private byte[] WithKind(byte kind)
    {
        byte[] frame = Encode(_bad.OtherHello(ConnectionKind.Kmsg));
        frame[8] = kind;
        return frame;
    }

    private static byte[] TailOf(uint length)
    {
        byte[] record = new byte[BulkRecord.TailPrefixBytes + 16];
        BulkRecord.WriteTailPrefix(record, (int)length);
        return record;
    }

    private static byte[] Commit(ulong commit)
    {
        byte[] page = new byte[4096];
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), commit);
        return page;
    }

    public void Dispose()
    {
        _good.Dispose();
        _bad.Dispose();
        _collector.Dispose();
        _store.Dispose();
    }
}
