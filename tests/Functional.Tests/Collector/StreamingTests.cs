using VsockPair.Protocol;
using VsockPair.Sessions;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

public sealed class StreamingTests : IDisposable
{
    private readonly TestStore _store = new();

    [Fact]
    public async Task Stores_every_record_and_closes_every_file_when_a_guest_says_goodbye_and_the_collector_stops()
    {
        InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing[] rings = [new(0), new(1), new(2, 65536)];
        foreach (ScriptedGuestRing ring in rings)
        {
            using ScriptedGuestLink bulk = guest.OpenBulk(ring);
            bulk.SendBytes(ring.TakeSubBuffers(50));
            bulk.SendBytes(ring.TakeTail(3));
            bulk.SendBytes(ring.TakeSubBuffer());
            bulk.SendBytes(ring.TakeTail(0));
            ring.LostEvents += 17;
            bulk.ShutDown();
            bulk.AwaitClosed();
        }
        using (ScriptedGuestLink kmsg = guest.OpenKmsg(out ulong next))
        {
            Assert.Equal(0ul, next);
            ScriptedGuest.SendKmsg(kmsg, ScriptedGuest.KmsgRecord(0, "zero") + ScriptedGuest.KmsgRecord(1, "one\n SUBSYSTEM=pci"));
            Assert.Equal(1ul, kmsg.Receive<KmsgAck>().Sequence);
        }
        _store.Stop(guest, rings);
        Assert.Equal(0, await collector.StopAsync());

        string boot = _store.Boot(guest);
        foreach (ScriptedGuestRing ring in rings)
        {
            _store.AssertExact(boot, ring);
            Assert.Equal(0, TestStore.Lost(boot, ring.Cpu, "transport"));
            // The tail without an event carries nothing, and takes no slot.
            Assert.Equal(52 * ring.SubBufferBytes, new FileInfo(TestStore.Segments(boot, ring.Cpu).Single()).Length);
        }
        TestStore.AssertClosed(boot);
        Assert.Equal(ScriptedGuest.KmsgRecord(0, "zero") + ScriptedGuest.KmsgRecord(1, "one\n SUBSYSTEM=pci"), TestStore.Kmsg(boot));
        Assert.False(File.Exists(_store.Socket));
    }

    [Fact]
    public void Frames_that_always_come_in_parts_are_no_stall_while_they_go_on()
    {
        const int limitSeconds = 3;
        using InProcessCollector collector = new(_store, times: new SessionTimes { Handshake = TimeSpan.FromSeconds(limitSeconds) });
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        byte[] frame = new byte[64];
        frame = frame[..Frame.Encode(new Heartbeat(1), frame)];
        byte[] shifted = [.. frame[3..], .. frame[..3]];
        using ScriptedGuestLink link = guest.OpenLink();
        link.Send(guest.ControlHello);
        link.Receive<Welcome>();
        link.SendBytes(frame.AsSpan(0, 3));
        for (long end = Environment.TickCount64 + 2000 * limitSeconds; Environment.TickCount64 < end; Thread.Sleep(50))
        {
            Assert.True(link.TrySendBytes(shifted));
        }
        Assert.Empty(collector.Status.Guests.Single().Violations);
    }

    [Fact]
    public void Unfinished_records_of_one_guest_take_a_bounded_amount_of_memory()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket) { Cpus = 200 };
        guest.Connect();
        List<ScriptedGuestLink> links = [];
        for (int cpu = 0; cpu < 129; cpu++)
        {
            ScriptedGuestRing ring = new(cpu, Wire.MaxSubBufferBytes);
            links.Add(guest.OpenBulk(ring));
            links[^1].SendBytes(ring.TakeSubBuffer().AsSpan(0, 100));
        }
        // It is counted a moment before its connection is closed.
        TestStore.Await(() => collector.Status.Guests.Single().Boots.Single().Streams.Count(s => s.Connected) == 128, "64 MiB hold 128 of the largest records");
        Assert.Equal(1, collector.Status.Guests.Single().Violations.GetValueOrDefault("TooMuchCarried"));
        links.ForEach(link => link.Dispose());
    }

    public void Dispose() => _store.Dispose();
}
