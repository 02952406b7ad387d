using System.Diagnostics;
using VsockPair.Commands;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.Sessions;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

public sealed class SessionTests : IDisposable
{
    private readonly TestStore _store = new();

    [Fact]
    public async Task A_graceful_restart_loses_nothing_and_the_same_boot_continues()
    {
        using ScriptedGuest guest = new(_store.Socket);
        ScriptedGuestRing ring = new(0);
        for (int start = 0; start < 2; start++)
        {
            InProcessCollector collector = new(_store, times: new SessionTimes { StopWait = ScriptedGuestLink.DefaultPatience });
            guest.Connect();
            Assert.Null(_store.BootRecord(guest).Ended);
            using ScriptedGuestLink kmsg = guest.OpenKmsg(out ulong next);
            Assert.Equal((ulong)start, next);
            ScriptedGuest.SendKmsg(kmsg, ScriptedGuest.KmsgRecord(next, "a line"));
            Assert.Equal(next, kmsg.Receive<KmsgAck>().Sequence);
            using ScriptedGuestLink bulk = guest.OpenBulk(ring);
            bulk.SendBytes(ring.TakeSubBuffers(100));
            Task<int> stopping = collector.StopAsync();
            Assert.True(guest.ControlFrames.TryTake(out byte[]? frame, ScriptedGuestLink.DefaultPatience) && Frame.TryDecode(frame, out Stop _));
            bulk.SendBytes(ring.TakeTail(2));
            bulk.ShutDown();
            bulk.AwaitClosed();
            Assert.Equal(0, await stopping);
            Assert.Equal("stopped", _store.BootRecord(guest).EndReason);
            TestStore.AssertClosed(_store.Boot(guest));
            _store.AssertExact(_store.Boot(guest), ring);
        }
        Assert.Empty(TestStore.Losses(_store.Boot(guest)));
        Assert.Equal(2, TestStore.Segments(_store.Boot(guest), 0).Count);
        Assert.Single(Directory.GetDirectories(StorePaths.Boots(_store.Guest)));
    }

    [Fact]
    public async Task A_newer_bulk_connection_gets_its_welcome_after_the_older_one_is_drained_and_accounted()
    {
        InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing ring = new(0);
        using ScriptedGuestLink older = guest.OpenBulk(ring);
        older.SendBytes(ring.TakeSubBuffers(20));
        // Taken out of the ring, half sent, then the rest of the pipe is thrown away.
        byte[] broken = ring.TakeSubBuffer();
        older.SendBytes(broken.AsSpan(0, 1000));
        ring.LostEvents = 9;
        using ScriptedGuestLink newer = guest.OpenBulk(ring);
        Assert.Null(older.ReceiveFrame());
        Assert.Equal(ring.MaxEvents, TestStore.Lost(_store.Boot(guest), 0, "transport"));
        newer.SendBytes(ring.TakeSubBuffers(5));
        newer.ShutDown();
        newer.AwaitClosed();
        _store.Stop(guest, ring);
        await collector.StopAsync();
        _store.AssertExact(_store.Boot(guest), ring);
    }

    [Fact]
    public void An_older_bulk_connection_that_never_stops_sending_is_cut_and_accounted()
    {
        const int rate = 1 << 20;
        long start = Stopwatch.GetTimestamp();
        // Of the budget nothing is left after the first second: only draining reads on.
        using InProcessCollector collector = new(_store, o => o with { Limits = o.Limits with { GuestRate = rate } });
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing ring = new(0);
        using ScriptedGuestLink older = guest.OpenBulk(ring);
        Thread pump = new(() =>
        {
            while (older.TrySendBytes(ring.TakeSubBuffers(64)))
            {
            }
        });
        pump.Start();
        TestStore.Await(() => collector.Status.Guests.Single().OverBudget, "the budget is spent");
        using ScriptedGuestLink newer = guest.OpenBulk(new ScriptedGuestRing(0));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        pump.Join();
        // At most: 4 s of the rate in hand and the time that passed, one read more, and one window. Two seconds of draining at the pump's speed would be hundreds of it.
        Assert.InRange(TestStore.SegmentBytes(_store.Boot(guest), 0), 1, (long)((4 + seconds) * rate) + (1 << 20) + StreamSocket.BulkWindowBytes);
    }

    [Fact]
    public async Task A_new_generation_begins_after_the_older_ones_account_is_closed()
    {
        InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing ring = new(0);
        using (ScriptedGuestLink bulk = guest.OpenBulk(ring))
        {
            bulk.SendBytes(ring.TakeSubBuffers(10));
            // Never sent.
            ring.TakeSubBuffers(2);
            ring.LostEvents = 4;
            bulk.ShutDown();
            bulk.AwaitClosed();
        }
        guest.SendCounters(ring, final: true);
        long older = (long)ring.ReadEvents;
        TestStore.Await(() => TestStore.Lost(_store.Boot(guest), 0, "transport") == 2 * ring.MaxEvents, "the final counters are settled");
        ring.NewGeneration();
        using (ScriptedGuestLink bulk = guest.OpenBulk(ring))
        {
            bulk.SendBytes(ring.TakeSubBuffers(3));
            ring.LostEvents = 6;
            bulk.ShutDown();
            bulk.AwaitClosed();
        }
        _store.Stop(guest, ring);
        await collector.StopAsync();
        string boot = _store.Boot(guest);
        Assert.Equal(older + (long)ring.ReadEvents, TestStore.StoredEvents(boot, 0) + TestStore.Lost(boot, 0, "transport"));
        Assert.Equal(2 * ring.MaxEvents, TestStore.Lost(boot, 0, "transport"));
        Assert.Equal(10, TestStore.Lost(boot, 0, "ring"));
        byte[] record = File.ReadAllBytes(StorePaths.Ring(boot, 0));
        Assert.Equal((ulong)older, System.Text.Json.JsonSerializer.Deserialize(record, StoreJson.Default.RingRecord)!.ReadEventsBefore);
    }

    [Fact]
    public async Task The_same_boot_with_a_session_that_it_was_never_given_is_another_life()
    {
        InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        Guid first = guest.Connect().Session;
        _ = guest.OpenKmsg(out _);
        guest.Connect();
        _ = guest.OpenKmsg(out _);
        // A snapshot of the first session is restored.
        using ScriptedGuest clone = new(_store.Socket) { BootId = guest.BootId, PreviousSession = first };
        clone.Connect();
        ScriptedGuestRing ring = new(0);
        using ScriptedGuestLink bulk = clone.OpenBulk(ring);
        bulk.SendBytes(ring.TakeSubBuffers(3));
        bulk.ShutDown();
        bulk.AwaitClosed();
        clone.Stop(ring);
        // Both go on, each in its own folder.
        guest.Connect();
        await collector.StopAsync();
        Assert.Equal(2, Directory.GetDirectories(StorePaths.Boots(_store.Guest)).Length);
        Assert.Empty(TestStore.Segments(_store.Boot(guest), 0));
        _store.AssertExact(_store.Boot(guest, life: 1), ring);
    }

    [Fact]
    public async Task A_snapshot_of_the_session_that_is_still_the_last_one_is_another_life()
    {
        InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket) { ClockOffset = TimeSpan.FromMinutes(-10) };
        guest.Connect();
        using ScriptedGuestLink kmsg = guest.OpenKmsg(out _);
        ScriptedGuest.SendKmsg(kmsg, string.Concat(Enumerable.Range(0, 100).Select(i => ScriptedGuest.KmsgRecord((ulong)i, "the first life"))));
        Assert.Equal(99ul, kmsg.Receive<KmsgAck>().Sequence);
        // Pongs count too: ten minutes pass in this session.
        guest.ClockOffset = TimeSpan.Zero;
        string clock = StorePaths.Clock(_store.Boot(guest));
        TestStore.Await(() => File.Exists(clock) && File.ReadAllText(clock).EndsWith('\n'), "a burst of pings is answered", seconds: 30);

        using ScriptedGuest reverted = new(_store.Socket) { BootId = guest.BootId, PreviousSession = guest.PreviousSession, ClockOffset = TimeSpan.FromMinutes(-5) };
        reverted.Connect();
        using ScriptedGuestLink again = reverted.OpenKmsg(out ulong next);
        Assert.Equal(0ul, next);
        ScriptedGuest.SendKmsg(again, ScriptedGuest.KmsgRecord(50, "the second life"));
        Assert.Equal(50ul, again.Receive<KmsgAck>().Sequence);
        // The same life comes back to its own folder: its clock goes on.
        reverted.Connect();
        await collector.StopAsync();
        Assert.Contains("the second life", TestStore.Kmsg(_store.Boot(guest, life: 1)), StringComparison.Ordinal);
        Assert.Equal(2, Directory.GetDirectories(StorePaths.Boots(_store.Guest)).Length);
    }

    [Fact]
    public void A_welcome_that_got_lost_makes_no_other_life()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        Guid known = guest.Connect().Session;
        guest.OpenKmsg(out _).Dispose();
        guest.Connect();
        guest.PreviousSession = known;
        guest.Connect();
        Assert.Single(Directory.GetDirectories(StorePaths.Boots(_store.Guest)));
    }

    [Fact]
    public void Welcomes_that_got_lost_in_a_row_make_no_other_life()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        guest.OpenKmsg(out _).Dispose();
        for (int i = 0; i < 3; i++)
        {
            Guid before = _store.BootRecord(guest).Session;
            using ScriptedGuestLink link = guest.OpenLink();
            link.Send(guest.ControlHello);
            // Begun, and its Welcome is never read.
            TestStore.Await(() => _store.BootRecord(guest).Session != before, "the session has begun");
        }
        guest.Connect();
        Assert.Single(Directory.GetDirectories(StorePaths.Boots(_store.Guest)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_newer_kmsg_connection_is_welcomed_after_the_older_ones_records_are_stored(bool withNewSession)
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ulong sent = 0;
        for (int round = 0; round < 10; round++)
        {
            ScriptedGuestLink older = guest.OpenKmsg(out ulong next);
            Assert.Equal(sent, next);
            string text = new('x', 2000);
            for (int frame = 0; frame < 10; frame++)
            {
                ScriptedGuest.SendKmsg(older, string.Concat(Enumerable.Range(0, 10).Select(_ => ScriptedGuest.KmsgRecord(sent++, text))));
            }
            // No acknowledgement is read: an agent that lost its connection here resends from what it is told.
            if (round % 2 == 0)
            {
                older.Dispose();
            }
            if (withNewSession)
            {
                guest.Connect();
            }
        }
        guest.OpenKmsg(out ulong last).Dispose();
        Assert.Equal(sent, last);
        Assert.Empty(collector.Status.Guests.Single().Violations);
        Assert.Empty(TestStore.Losses(_store.Boot(guest)));
    }

    [Fact]
    public async Task A_ring_goes_on_after_its_final_counters()
    {
        InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        ScriptedGuestRing ring = new(0);
        for (int agent = 0; agent < 3; agent++)
        {
            guest.Connect();
            // The first connection of each agent ends with its vCPU, the second one with the agent.
            for (int connection = 0; connection < 2; connection++)
            {
                using ScriptedGuestLink bulk = guest.OpenBulk(ring);
                bulk.SendBytes(ring.TakeSubBuffers(7));
                // Never sent.
                ring.TakeSubBuffer();
                ring.LostEvents += 5;
                bulk.ShutDown();
                bulk.AwaitClosed();
                guest.SendCounters(ring, final: true);
                TestStore.Await(() => TestStore.Lost(_store.Boot(guest), 0, "ring") == (long)ring.LostEvents, "the final counters are settled");
                _store.AssertExact(_store.Boot(guest), ring);
            }
            guest.Stop();
        }
        Assert.Empty(collector.Status.Guests.Single().Violations);
        await collector.StopAsync();
        _store.AssertExact(_store.Boot(guest), ring);
        Assert.Single(Directory.GetDirectories(StorePaths.Boots(_store.Guest)));
    }

    [Fact]
    public void A_silent_session_ends_as_lost_and_its_streams_are_accounted()
    {
        using InProcessCollector collector = new(_store, times: new SessionTimes { DeadAfter = TimeSpan.FromSeconds(1), Heartbeat = TimeSpan.FromSeconds(60), ClockBurst = TimeSpan.FromSeconds(60) });
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        ScriptedGuestRing ring = new(0);
        using ScriptedGuestLink bulk = guest.OpenBulk(ring);
        bulk.SendBytes(ring.TakeSubBuffers(3));
        ring.TakeSubBuffer();
        guest.SendCounters(ring);
        TestStore.Await(() => _store.BootRecord(guest).EndReason == "lost", "the session is given up");
        _store.AssertExact(_store.Boot(guest), ring);
    }

    [Fact]
    public void A_new_boot_of_the_same_guest_ends_the_older_one()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest before = new(_store.Socket);
        before.Connect();
        using ScriptedGuest after = new(_store.Socket);
        after.Connect();
        TestStore.Await(() => _store.BootRecord(before).EndReason == "superseded", "the older boot has ended");
        Assert.Null(_store.BootRecord(after).Ended);
    }

    [Fact]
    public void Of_two_boots_that_come_at_once_the_one_that_is_live_has_not_ended()
    {
        using InProcessCollector collector = new(_store, times: new SessionTimes { AcceptsPerSecond = 1000 });
        using ScriptedGuest one = new(_store.Socket);
        using ScriptedGuest other = new(_store.Socket);
        for (int round = 0; round < 8; round++)
        {
            using Barrier start = new(2);
            Parallel.ForEach([one, other], new ParallelOptions { MaxDegreeOfParallelism = 2 }, guest =>
            {
                start.SignalAndWait();
                guest.PreviousSession = Guid.Empty;
                guest.Connect();
            });
            string[] live = [];
            TestStore.Await(() => (live = [.. collector.Status.Guests.Single().Boots.Where(b => b.ConnectedSince is not null).Select(b => b.Boot)]).Length == 1, "one session is left");
            ScriptedGuest winner = one.BootId.ToString() == live[0] ? one : other;
            ScriptedGuest loser = winner == one ? other : one;
            TestStore.Await(() => _store.BootRecord(winner).Ended is null && _store.BootRecord(loser).EndReason == "superseded", "the records say so");
        }
    }

    [Fact]
    public void Clocks_are_measured_and_the_probe_is_answered()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        using ScriptedGuestLink probe = guest.Open(guest.OtherHello(ConnectionKind.Probe), out _);
        probe.SendBytes(new byte[Wire.ProbeBytes]);
        Assert.Equal(Wire.ProbeBytes, probe.Receive<ProbeResult>().Bytes);
        string clock = StorePaths.Clock(_store.Boot(guest));
        TestStore.Await(() => File.Exists(clock) && File.ReadAllText(clock).EndsWith('\n'), "a burst of pings is answered");
        ClockSample sample = System.Text.Json.JsonSerializer.Deserialize(File.ReadAllLines(clock)[0], StoreJson.Default.ClockSample)!;
        Assert.InRange(sample.Error, 0, 1_000_000_000);
        Assert.NotNull(sample.GuestLocal);
        // A session begins with more than one look, long before the next interval.
        TestStore.Await(() => File.ReadAllLines(clock).Length >= 3, "two more bursts");
    }

    [Fact]
    public async Task A_guest_that_answers_pings_with_nonsense_keeps_its_session_and_its_log_is_still_shown()
    {
        using InProcessCollector collector = new(_store, times: new SessionTimes { ClockBurst = TimeSpan.FromSeconds(1) });
        Random random = new(1);
        long[] extremes = [long.MinValue, -1, 0, long.MaxValue, long.MaxValue - 1];
        long Any() => random.Next(2) == 0 ? extremes[random.Next(extremes.Length)] : random.NextInt64(long.MinValue, long.MaxValue);
        using ScriptedGuest guest = new(_store.Socket) { AnswerPing = ping => new Pong(ping.Number, Any(), Any(), Any(), Any(), Any()) };
        guest.Connect();
        using ScriptedGuestLink kmsg = guest.OpenKmsg(out _);
        ScriptedGuest.SendKmsg(kmsg, ScriptedGuest.KmsgRecord(0, "hello"));
        string clock = StorePaths.Clock(_store.Boot(guest));
        TestStore.Await(() => File.Exists(clock) && File.ReadAllLines(clock).Length >= 4, "four bursts");
        Assert.Null(_store.BootRecord(guest).Ended);
        foreach (string[] command in new string[][] { ["kmsg", TestStore.GuestName, "--json"], ["guests", TestStore.GuestName], ["kmsg", TestStore.GuestName, "-S", "-1h"] })
        {
            StringWriter output = new();
            int exitCode = await CommandRunner.RunAsync(Program.Commands(output, output), ["--store", _store.Folder, .. command], output, output, CancellationToken.None);
            Assert.True(exitCode is ExitCode.Done or ExitCode.NothingFound, output.ToString());
            Assert.DoesNotContain("internal error", output.ToString(), StringComparison.OrdinalIgnoreCase);
        }
    }

    public void Dispose() => _store.Dispose();
}
