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

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_file_that_the_disk_does_not_take_is_passed_over_and_its_session_goes_on(bool isGone)
    {
        byte[] types = RandomNumberGenerator.GetBytes(2 * Wire.MaxFileChunkBytes + 10_000);
        byte[] record = RandomNumberGenerator.GetBytes(5000);
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        uint wanted = guest.Offer(OfferedKind.Metadata, "btf", types);
        Assert.Equal(OfferAnswer.Want, guest.AwaitAnswer(wanted, ScriptedGuestLink.DefaultPatience));
        string metadata = StorePaths.Metadata(_store.Folder);
        Directory.Move(metadata, metadata + ".away");
        File.WriteAllText(metadata, "no folder");
        byte[] frame = new byte[Wire.MaxFrameBytes];
        for (int at = 0; at < types.Length && !(isGone && at > 0); at += Wire.MaxFileChunkBytes)
        {
            guest.Control.SendBytes(frame.AsSpan(0, new FileChunk(wanted, at, types.AsSpan(at, Math.Min(Wire.MaxFileChunkBytes, types.Length - at))).Encode(frame)));
        }
        if (isGone)
        {
            guest.Control.Send(new FileGone(wanted));
        }
        Assert.Equal(OfferAnswer.Want, guest.OfferFile(OfferedKind.Pstore, "dmesg-ramoops-0", record));
        Assert.Null(guest.AwaitAnswer(wanted, TimeSpan.Zero));
        File.Delete(metadata);
        Directory.Move(metadata + ".away", metadata);
        Assert.Empty(Directory.GetFiles(metadata));
        Assert.Empty(collector.Status.Guests.Single().Violations);
        guest.Connect();
        Assert.Equal(OfferAnswer.Want, guest.OfferFile(OfferedKind.Metadata, "btf", types));
        Assert.Equal(types, File.ReadAllBytes(Assert.Single(Directory.GetFiles(metadata))));
    }

    [Fact]
    public void A_guest_that_offers_names_without_end_gets_as_many_as_a_boot_may_have_however_often_it_reconnects()
    {
        byte[] content = [1, 2, 3];
        byte[] hash = SHA256.HashData(content);
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Assert.Equal(OfferAnswer.Want, guest.OfferFile(OfferedKind.Metadata, "name0", content));
        int named = 1;
        for (int session = 0; session < 3; session++)
        {
            using ScriptedGuestLink control = guest.OpenLink();
            control.Send(guest.ControlHello with { Control = guest.ControlHello.Control with { PreviousSession = Guid.Empty } });
            control.Receive<Welcome>();
            for (uint id = 1; id <= 4096; id++)
            {
                control.Send(new FileOffer(id, OfferedKind.Metadata, $"name{session * 4096 + id}", content.Length, 0, hash));
            }
            for (int answers = 0; answers < 4096;)
            {
                if (Frame.TryDecode(control.ReceiveFrame(), out FileAnswer answer))
                {
                    answers++;
                    named += answer.Answer == OfferAnswer.Have ? 1 : 0;
                }
            }
        }
        Assert.Equal(GuestMetadata.MaxNamesOfBoot, named);
        TestStore.Await(() => _store.BootRecord(guest).Metadata.Count == GuestMetadata.MaxNamesOfBoot, "boot.json has no more");
        Assert.Equal(OfferAnswer.Refused, ReconnectAndOffer(guest, new string('n', 257), content));
    }

    [Fact]
    public void Of_a_file_that_changes_again_and_again_one_version_is_kept()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        for (int version = 0; version < 50; version++)
        {
            Assert.Equal(OfferAnswer.Want, guest.OfferFile(OfferedKind.Metadata, "saved_cmdlines", BitConverter.GetBytes(version)));
        }
        string last = Convert.ToHexStringLower(SHA256.HashData(BitConverter.GetBytes(49)));
        TestStore.Await(
            () => Directory.GetFiles(StorePaths.Metadata(_store.Folder)) is [string only] && Path.GetFileName(only) == last && _store.BootRecord(guest).Metadata["saved_cmdlines"] == last,
            "the older versions are gone");
    }

    /// <summary>A version of saved_cmdlines has the threads of its moment, the trace those of hours.</summary>
    [Fact]
    public void Threads_that_a_guest_names_no_more_keep_their_names()
    {
        using InProcessCollector collector = new(_store);
        using ScriptedGuest guest = new(_store.Socket);
        guest.Connect();
        Assert.Equal(OfferAnswer.Want, guest.OfferFile(OfferedKind.Metadata, "saved_cmdlines", "1 init\n20 cron\n30 old\n"u8.ToArray()));
        Assert.Equal(OfferAnswer.Want, guest.OfferFile(OfferedKind.Metadata, "saved_cmdlines", "1 init\n30 new\n"u8.ToArray()));
        AssertNames("1 init\n30 new\n20 cron\n");
        Assert.Equal(OfferAnswer.Want, ReconnectAndOffer(guest, "saved_cmdlines", "40 sshd\n"u8.ToArray()));
        AssertNames("40 sshd\n1 init\n30 new\n20 cron\n");

        void AssertNames(string expected) => TestStore.Await(
            () => Directory.GetFiles(StorePaths.Metadata(_store.Folder)) is [string only] && File.ReadAllText(only) == expected
                && _store.BootRecord(guest).Metadata["saved_cmdlines"] == Path.GetFileName(only),
            "one file with all names");
    }

    private static OfferAnswer ReconnectAndOffer(ScriptedGuest guest, string name, byte[] content)
    {
        guest.PreviousSession = Guid.Empty;
        guest.Connect();
        return guest.OfferFile(OfferedKind.Metadata, name, content);
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
