using VsockPair.Protocol;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

public sealed class KillTests : IDisposable
{
    private const int Kills = 5;

    private readonly TestStore _store = new();

    [Fact]
    public async Task Accounts_are_exact_and_no_stored_byte_changes_when_the_collector_is_killed_again_and_again_under_load()
    {
        ScriptedGuestRing[] rings = [new(0), new(1, 16384)];
        using ScriptedGuest guest = new(_store.Socket);
        Dictionary<string, byte[]> seen = [];
        ulong sequence = 0;
        Random random = new(1);
        for (int round = 0; round < Kills; round++)
        {
            using CollectorProcess collector = new(_store, "[Store]\nSegmentBytes=256K\n");
            guest.ConnectPatiently();
            using ScriptedGuestLink kmsg = guest.OpenKmsg(out ulong next);
            // The record that was on its way may or may not have been stored.
            Assert.InRange(next, sequence, sequence + 1);
            sequence = next;
            ScriptedGuestLink[] links = [.. rings.Select(guest.OpenBulk)];
            Task[] senders = [.. rings.Zip(links).Select(pair => Task.Run(() => SendUntilClosed(pair.First, pair.Second)))];
            Task log = Task.Run(() => SendKmsgUntilClosed(kmsg, ref sequence));
            await Task.Delay(random.Next(150, 400));
            collector.Kill();
            await Task.WhenAll([.. senders, log]);
            foreach (ScriptedGuestLink link in links)
            {
                link.Dispose();
            }
            AssertUnchanged(seen);
        }
        using CollectorProcess last = new(_store);
        guest.ConnectPatiently();
        using (ScriptedGuestLink kmsg = guest.OpenKmsg(out ulong next))
        {
            // On a busy machine each collector may have been killed before it stored one.
            ScriptedGuest.SendKmsg(kmsg, ScriptedGuest.KmsgRecord(next, "last"));
            kmsg.Receive<KmsgAck>();
        }
        foreach (ScriptedGuestRing ring in rings)
        {
            ring.LostEvents += 5;
            using ScriptedGuestLink bulk = guest.OpenBulk(ring);
            bulk.SendBytes(ring.TakeTail(1));
            bulk.ShutDown();
            bulk.AwaitClosed();
        }
        _store.Stop(guest, rings);
        string boot = _store.Boot(guest);
        Assert.Equal(0, last.Terminate());

        foreach (ScriptedGuestRing ring in rings)
        {
            _store.AssertExact(boot, ring);
            Assert.True(TestStore.StoredEvents(boot, ring.Cpu) > 0);
        }
        TestStore.AssertClosed(boot);
        AssertUnchanged(seen);
        string[] lines = TestStore.Kmsg(boot).TrimEnd('\n').Split('\n');
        Assert.Equal(Enumerable.Range(0, lines.Length).Select(i => (long)i), lines.Select(l => long.Parse(l.Split(',')[1], System.Globalization.CultureInfo.InvariantCulture)));
    }

    private static void SendUntilClosed(ScriptedGuestRing ring, ScriptedGuestLink link)
    {
        // As an agent: what was taken out of the ring counts as read, whether it arrives or not.
        while (link.TrySendBytes(ring.ReadEvents % 3 == 0 ? ring.TakeTail(7) : ring.TakeSubBuffers(3)))
        {
            Thread.Sleep(1);
        }
    }

    private static void SendKmsgUntilClosed(ScriptedGuestLink link, ref ulong sequence)
    {
        try
        {
            while (true)
            {
                ScriptedGuest.SendKmsg(link, ScriptedGuest.KmsgRecord(sequence, "line"));
                link.Receive<KmsgAck>();
                sequence++;
            }
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or InvalidOperationException)
        {
            // Killed.
        }
    }

    /// <summary>Once its collector has died a file keeps every whole slot, and gets no other.</summary>
    private void AssertUnchanged(Dictionary<string, byte[]> seen)
    {
        Assert.All(seen.Where(s => s.Value.Length >= SlotBytes(s.Key)), s => Assert.True(File.Exists(s.Key), $"{s.Key} is gone."));
        foreach (string file in Directory.GetFiles(_store.Guest, "*.pages", SearchOption.AllDirectories))
        {
            byte[] now = File.ReadAllBytes(file);
            if (seen.TryGetValue(file, out byte[]? before))
            {
                Assert.Equal(before.Length / SlotBytes(file) * SlotBytes(file), now.Length);
                Assert.True(now.AsSpan().SequenceEqual(before.AsSpan(0, now.Length)), $"{file} has changed.");
            }
            seen[file] = now;
        }
    }

    private static int SlotBytes(string file) =>
        StorePaths.TryParseSegmentName(Path.GetFileName(file), out _, out int bytes) ? bytes : throw new InvalidDataException(file);

    public void Dispose() => _store.Dispose();
}
