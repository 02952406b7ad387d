using VsockPair.Protocol;
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
        guest.Stop(rings);
        TestStore.Await(() => _store.BootRecord(guest).EndReason == "goodbye", "the boot has ended");
        Assert.Equal(0, await collector.StopAsync());

        string boot = _store.Boot(guest);
        foreach (ScriptedGuestRing ring in rings)
        {
            _store.AssertExact(boot, ring);
            Assert.Equal(0, TestStore.Lost(boot, ring.Cpu, "transport"));
            // 50, a tail, one more; the empty tail says nothing and takes no slot.
            Assert.Equal(52 * ring.SubBufferBytes, new FileInfo(TestStore.Segments(boot, ring.Cpu).Single()).Length);
        }
        TestStore.AssertClosed(boot);
        Assert.Equal(ScriptedGuest.KmsgRecord(0, "zero") + ScriptedGuest.KmsgRecord(1, "one\n SUBSYSTEM=pci"), TestStore.Kmsg(boot));
        Assert.False(File.Exists(_store.Socket));
    }

    public void Dispose() => _store.Dispose();
}
