using System.Diagnostics;
using System.Security.Cryptography;
using VsockPair.Protocol;
using VsockPair.Sessions;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

public sealed class DiskFullTests : IDisposable
{
    private readonly TestStore _store = new();
    private readonly bool _mounted;

    public DiskFullTests()
    {
        if (Environment.IsPrivilegedProcess)
        {
            Directory.CreateDirectory(_store.Folder);
            Run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", _store.Folder);
            _mounted = true;
        }
    }

    [RootFact]
    public async Task A_full_disk_stops_bulk_and_kernel_log_alone_and_all_goes_on_by_itself_once_there_is_room()
    {
        using InProcessCollector collector = new(_store, times: new SessionTimes { Heartbeat = TimeSpan.FromSeconds(1) });
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        string boot = _store.Boot(guest);
        ScriptedGuestRing ring = new(0, 65536);
        using ScriptedGuestLink bulk = guest.OpenBulk(ring);
        using ScriptedGuestLink kmsg = guest.OpenKmsg(out _);
        bulk.SendBytes(ring.TakeSubBuffers(4));
        TestStore.Await(() => TestStore.SegmentBytes(boot, 0) == 4 * 65536, "what came before is stored");

        string filler = Path.Combine(_store.Folder, "filler");
        // What came before may be closed while there still is room for its sidecar, and is removed then, which makes room once more. The disk is full for good when it is full
        // before and after a look that has found no sidecar, nor one that is being written.
        TestStore.Await(() =>
        {
            Fill(filler);
            return collector.Status.DiskFull
                && !new DirectoryInfo(boot).EnumerateFiles("*.sum*", SearchOption.AllDirectories).Any(sum => sum.Exists && sum.Length > 0)
                && Fill(filler) == 0;
        }, "the disk is full");
        IReadOnlyList<string> earlier = TestStore.Segments(boot, 0);
        using CancellationTokenSource stop = new();
        Task flood = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                bulk.SendBytes(ring.TakeSubBuffers(4));
                Thread.Sleep(20);
            }
        });
        ScriptedGuest.SendKmsg(kmsg, string.Concat(Enumerable.Range(0, 100).Select(i => ScriptedGuest.KmsgRecord((ulong)i, new string('x', 100)))));
        Task<KmsgAck> acknowledged = Task.Run(() => kmsg.Receive<KmsgAck>());
        byte[] record = RandomNumberGenerator.GetBytes(300_000);
        Assert.Equal(OfferAnswer.Want, guest.OfferFile(OfferedKind.Pstore, "dmesg-ramoops-0", record));
        byte[] types = RandomNumberGenerator.GetBytes(100_000);
        uint late = guest.Offer(OfferedKind.Metadata, "btf", types);
        Assert.Null(guest.AwaitAnswer(late, TimeSpan.FromSeconds(2)));
        Assert.False(acknowledged.IsCompleted);
        long before = 4 * ring.MaxEvents;
        Assert.Equal(before, TestStore.StoredEvents(boot, 0) + _store.Removed(boot, 0));
        Assert.Equal(record, File.ReadAllBytes(Assert.Single(Directory.GetFiles(StorePaths.Pstore(boot)))));
        Assert.NotNull(collector.Status.Guests[0].Boots[0].ConnectedSince);

        File.Delete(filler);
        TestStore.Await(() => !collector.Status.DiskFull && acknowledged.IsCompleted && TestStore.StoredEvents(boot, 0) + _store.Removed(boot, 0) > before, "all goes on");
        Assert.Equal(OfferAnswer.Want, guest.AwaitAnswer(late, ScriptedGuestLink.DefaultPatience));
        guest.SendFile(late, types);
        TestStore.Await(() => _store.BootRecord(guest).Metadata.ContainsKey("btf"), "what was offered meanwhile is named");
        // Retention closes what is open to make room, and its sidecar has none: that is tried again every 5 s.
        TestStore.Await(() => earlier.All(s => !File.Exists(s) || File.Exists(s + ".sum")), "the segment of that time is closed");
        await stop.CancelAsync();
        await flood;
        bulk.ShutDown();
        bulk.AwaitClosed();
        _store.Stop(guest, ring);
        await collector.StopAsync();
        TestStore.AssertClosed(boot);
        _store.AssertExact(boot, ring);
        Assert.Equal(0, TestStore.Lost(boot, 0, "transport"));
        Assert.Equal(100, TestStore.Kmsg(boot).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [RootFact]
    public void A_guest_that_boots_anew_on_a_full_disk_can_hand_over_its_crash_record()
    {
        using InProcessCollector collector = new(_store, times: new SessionTimes { Heartbeat = TimeSpan.FromSeconds(1) });
        using (ScriptedGuest before = new(_store.Socket))
        {
            before.Connect();
        }
        TestStore.Await(() =>
        {
            Fill(Path.Combine(_store.Folder, "filler"));
            return collector.Status.DiskFull;
        }, "the disk is full");
        using ScriptedGuest after = new(_store.Socket);
        after.Connect();
        byte[] record = RandomNumberGenerator.GetBytes(60_000);
        Assert.Equal(OfferAnswer.Want, after.OfferFile(OfferedKind.Pstore, "dmesg-ramoops-0", record));
        Assert.Equal(record, File.ReadAllBytes(Assert.Single(Directory.GetFiles(StorePaths.Pstore(_store.Boot(after))))));
    }

    public void Dispose()
    {
        if (_mounted)
        {
            // Lazily: what a failed test left running must not leave the mount behind.
            Run("umount", "--lazy", _store.Folder);
        }
        _store.Dispose();
    }

    /// <returns>How many bytes there was room for.</returns>
    private static long Fill(string path)
    {
        using FileStream file = new(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        byte[] zeros = new byte[4096];
        long before = file.Length;
        try
        {
            while (true)
            {
                file.Write(zeros);
            }
        }
        catch (IOException e) when (DiskReserve.IsFull(e))
        {
            return file.Length - before;
        }
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
