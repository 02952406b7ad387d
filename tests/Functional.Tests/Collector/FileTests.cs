using System.Security.Cryptography;
using System.Text;
using VsockPair.Protocol;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

public sealed class FileTests : IDisposable
{
    private readonly TestStore _store = new();

    [Fact]
    public async Task A_pstore_record_is_stored_once_per_guest_under_the_boot_that_first_offered_it()
    {
        byte[] record = RandomNumberGenerator.GetBytes(70_000);
        InProcessCollector collector = new(_store);
        using ScriptedGuest first = new(_store.Socket);
        first.Connect();
        Assert.Equal(OfferAnswer.Want, first.OfferFile(OfferedKind.Pstore, "dmesg-ramoops-0", record));
        Assert.Equal(OfferAnswer.Have, first.OfferFile(OfferedKind.Pstore, "dmesg-ramoops-0", record));
        await collector.StopAsync();
        using InProcessCollector restarted = new(_store);
        using ScriptedGuest second = new(_store.Socket);
        second.Connect();
        Assert.Equal(OfferAnswer.Have, second.OfferFile(OfferedKind.Pstore, "dmesg-ramoops-0", record));
        Assert.Equal(OfferAnswer.Refused, second.OfferFile(OfferedKind.Pstore, ".hidden", [1, 2, 3]));
        string stored = Assert.Single(Directory.GetFiles(_store.Guest, "dmesg-*", SearchOption.AllDirectories));
        Assert.Equal($"dmesg-ramoops-0-{Convert.ToHexStringLower(SHA256.HashData(record))[..16]}", Path.GetFileName(stored));
        Assert.StartsWith(StorePaths.Pstore(_store.Boot(first)), stored, StringComparison.Ordinal);
        Assert.Equal(record, File.ReadAllBytes(stored));
    }

    [Fact]
    public void When_a_pstore_record_is_gone_the_same_one_from_another_folder_is_asked_for()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        using ScriptedGuestLink control = guest.OpenLink();
        control.Send(guest.ControlHello);
        control.Receive<Welcome>();
        byte[] hash = SHA256.HashData([1, 2, 3]);
        control.Send(new FileOffer(1, OfferedKind.Pstore, "dmesg-1", 3, 0, hash));
        control.Send(new FileOffer(2, OfferedKind.Pstore, "dmesg-2", 3, 0, hash));
        control.Send(new FileGone(1));
        List<FileAnswer> answers = [];
        while (answers.Count < 2)
        {
            if (Frame.TryDecode(control.ReceiveFrame(), out FileAnswer answer))
            {
                answers.Add(answer);
            }
        }
        Assert.Equal([new FileAnswer(1, OfferAnswer.Want), new FileAnswer(2, OfferAnswer.Want)], answers);
    }

    [Fact]
    public void Metadata_is_stored_once_for_all_and_named_by_each_boot()
    {
        byte[] format = Encoding.UTF8.GetBytes("name: sched_switch\n");
        using InProcessCollector collector = new(_store);
        using ScriptedGuest first = new(_store.Socket);
        first.Connect();
        Assert.Equal(OfferAnswer.Want, first.OfferFile(OfferedKind.Metadata, "events/sched/sched_switch/format", format));
        Assert.Equal(OfferAnswer.Have, first.OfferFile(OfferedKind.Metadata, "modules", []));
        Assert.Equal(OfferAnswer.Refused, first.OfferFile(OfferedKind.Metadata, "events/sched/big/format", new byte[65537]));
        using ScriptedGuest second = new(_store.Socket);
        second.Connect();
        Assert.Equal(OfferAnswer.Have, second.OfferFile(OfferedKind.Metadata, "events/sched/sched_switch/format", format));
        string hash = Convert.ToHexStringLower(SHA256.HashData(format));
        Assert.Equal(format, File.ReadAllBytes(Path.Combine(StorePaths.Metadata(_store.Folder), hash)));
        foreach (ScriptedGuest guest in (ScriptedGuest[])[first, second])
        {
            TestStore.Await(() => _store.BootRecord(guest).Metadata.GetValueOrDefault("events/sched/sched_switch/format") == hash, "boot.json names the file");
        }
    }

    /// <summary>The newer connection ends the older session while that one's loop is adding to a file: a race, hence the rounds.</summary>
    [Fact]
    public void A_session_that_is_replaced_in_the_middle_of_a_file_harms_nothing()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        byte[] chunk = new byte[Wire.MaxFileChunkBytes];
        for (int round = 0; round < 12; round++)
        {
            guest.Connect();
            ScriptedGuestLink older = guest.Control;
            older.Send(new FileOffer(1000, OfferedKind.Metadata, "btf", 32 << 20, 0, RandomNumberGenerator.GetBytes(32)));
            using ManualResetEventSlim underWay = new();
            Thread pump = new(() =>
            {
                byte[] frame = new byte[Wire.MaxFrameBytes];
                for (int at = 0; at + chunk.Length <= 32 << 20 && older.TrySendBytes(frame.AsSpan(0, new FileChunk(1000, at, chunk).Encode(frame))); at += chunk.Length)
                {
                    if (at > (round % 4) << 20)
                    {
                        underWay.Set();
                    }
                }
            });
            pump.Start();
            underWay.Wait(ScriptedGuestLink.DefaultPatience);
            guest.Connect();
            pump.Join();
        }
        TestStore.Await(() => Directory.GetFiles(StorePaths.Metadata(_store.Folder), "*.tmp").Length == 0, "nothing of the unfinished files is left");
        Assert.False(collector.Run.IsCompleted);
        Assert.Empty(collector.Status.Guests.Single().Violations);
    }

    public void Dispose() => _store.Dispose();
}
