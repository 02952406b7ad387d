using System.Diagnostics;
using VsockPair.GuestAgent.Connections;
using VsockPair.GuestAgent.Files;
using VsockPair.Linux;
using VsockPair.Protocol;
using VsockPair.TestKit.Collector;

namespace VsockPair.GuestAgent.Tests.Sessions;

public sealed class FileOffersTests : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("offers-").FullName;
    private readonly ScriptedCollector _collector;
    private readonly WakeEvent _wake = new();
    private readonly FrameChannel _channel;
    private readonly FileHashes _hashes = new();
    private readonly List<string> _acknowledged = [];

    public FileOffersTests()
    {
        _collector = new ScriptedCollector(Path.Combine(_folder, "s")) { SendsHeartbeats = false };
        Fd socket = StreamSocket.ConnectUnix(_collector.Path);
        SocketWait.MakeNonBlocking(socket.Value);
        Hello hello = new()
        {
            OldestVersion = 1,
            NewestVersion = 1,
            Control = new ControlHello { AgentVersion = "", KernelRelease = "", KernelVersion = "", Machine = "", NodeName = "", TraceClock = "", Notes = [] },
        };
        Handshake.Exchange(socket.Value, hello, Patience, _wake, () => false);
        _channel = new FrameChannel(socket, _wake, waited => waited > Patience.TotalMilliseconds);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(24576)]
    [InlineData(24577)]
    [InlineData(1_000_000)]
    public void A_wanted_file_arrives_byte_for_byte(int bytes)
    {
        byte[] content = new byte[bytes];
        new Random(bytes).NextBytes(content);
        using FileOffers offers = Offers(new OfferedFile(OfferedKind.Pstore, "f", () => new SnapshotSource(content)));

        RunUntil(offers, () => _acknowledged.Count > 0);

        Assert.Equal(content, _collector.Files["f"]);
    }

    [Fact]
    public void A_file_that_the_collector_has_is_not_sent()
    {
        _collector.OnOffer = _ => OfferAnswer.Have;
        using FileOffers offers = Offers(new OfferedFile(OfferedKind.Metadata, "f", () => new SnapshotSource([1, 2, 3])));

        RunUntil(offers, () => _acknowledged.Count > 0);

        Assert.Empty(_collector.Files);
        Assert.True(offers.IsMetadataOffered);
    }

    [Fact]
    public void All_is_offered_before_large_files_are_sent_and_small_ones_are_sent_first()
    {
        using FileOffers offers = Offers(OfferedFile.Snapshot("small", new byte[1000]));
        offers.Add(OfferedFile.Snapshot("symbols", new byte[1_300_000]));
        offers.Add(OfferedFile.Snapshot("types", new byte[1_200_000]));
        bool sentEarly = false;
        Assert.False(offers.IsMetadataOffered);

        RunUntil(offers, () =>
        {
            sentEarly |= !offers.IsMetadataOffered && (_collector.Files.ContainsKey("symbols") || _collector.Files.ContainsKey("types"));
            return _acknowledged.Count == 3;
        });

        Assert.False(sentEarly);
        Assert.Equal(["small", "symbols", "types"], _acknowledged);
    }

    [Fact]
    public void An_answer_that_does_not_fit_the_offers_state_is_a_bad_frame()
    {
        using FileOffers offers = Offers(OfferedFile.Snapshot("f", [1]));
        Assert.Throws<LinuxException>(() => offers.Answered(new FileAnswer(1, OfferAnswer.Have)));
        offers.Step();

        Assert.Throws<LinuxException>(() => offers.Stored(new FileStored(1)));
        offers.Answered(new FileAnswer(1, OfferAnswer.Want));
        Assert.Throws<LinuxException>(() => offers.Answered(new FileAnswer(1, OfferAnswer.Want)));
        Assert.Throws<LinuxException>(() => offers.Answered(new FileAnswer(1, OfferAnswer.Have)));
        Assert.Throws<LinuxException>(() => offers.Stored(new FileStored(1)));
        offers.Step();
        Assert.Throws<LinuxException>(() => offers.Answered(new FileAnswer(1, OfferAnswer.Have)));
        offers.Stored(new FileStored(1));
        Assert.Throws<LinuxException>(() => offers.Stored(new FileStored(1)));

        Assert.Equal(["f"], _acknowledged);
    }

    [Theory]
    [InlineData(50_000, 50_000)]
    [InlineData(50_000, 40_000)]
    [InlineData(50_000, 60_000)]
    public void A_file_that_changed_is_withdrawn_and_offered_as_it_is_now(int before, int after)
    {
        byte[] first = new byte[before];
        byte[] second = new byte[after];
        second[^1] = 1;
        int opened = 0;
        using FileOffers offers = Offers(new OfferedFile(OfferedKind.Metadata, "f", () => new SnapshotSource(opened++ == 0 ? first : second)));

        RunUntil(offers, () => _acknowledged.Count > 0);

        Assert.Equal([1u], _collector.FilesGone);
        Assert.Equal(second, _collector.Files["f"]);
        Assert.True(offers.IsMetadataOffered);
    }

    [Fact]
    public void A_file_that_never_rests_is_given_up()
    {
        byte content = 0;
        using FileOffers offers = Offers(new OfferedFile(OfferedKind.Metadata, "f", () => new SnapshotSource([content++])));

        RunUntil(offers, () => !offers.HasWork && _collector.FilesGone.Count == 3);

        Assert.Equal(3, _collector.Offers.Count);
        Assert.Empty(_collector.Files);
    }

    [Fact]
    public void A_file_that_vanished_holds_nothing_up()
    {
        using FileOffers offers = Offers(OfferedFile.Metadata("gone", Path.Combine(_folder, "gone"), hashKey: "gone"));
        offers.Add(OfferedFile.Snapshot("there", [1]));

        RunUntil(offers, () => _acknowledged.Count > 0);

        Assert.Equal(["there"], _acknowledged);
        Assert.True(offers.IsMetadataOffered);
    }

    [Fact]
    public void What_was_hashed_once_is_not_read_again_in_the_next_session()
    {
        _collector.OnOffer = _ => OfferAnswer.Have;
        int opened = 0;
        OfferedFile file = new(OfferedKind.Metadata, "f", () => new SnapshotSource([(byte)++opened])) { HashKey = "f" };
        using (FileOffers first = Offers(file))
        {
            RunUntil(first, () => _acknowledged.Count == 1);
        }
        // A new session begins with new ids; the collector of this test does not mind.
        using FileOffers second = Offers(file);
        RunUntil(second, () => _acknowledged.Count == 2);

        Assert.Equal(1, opened);
    }

    public async ValueTask DisposeAsync()
    {
        _channel.Dispose();
        await _collector.DisposeAsync();
        _wake.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private FileOffers Offers(OfferedFile file)
    {
        FileOffers offers = new(_channel, _hashes, f => _acknowledged.Add(f.Name));
        offers.Add(file);
        return offers;
    }

    private void RunUntil(FileOffers offers, Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience, $"waited {Patience.TotalSeconds} s in vain");
            offers.Step();
            Assert.True(_channel.Receive());
            while (_channel.TryTake(out ReadOnlySpan<byte> body))
            {
                if (Frame.TryDecode(body, out FileAnswer answer))
                {
                    offers.Answered(answer);
                }
                else if (Frame.TryDecode(body, out FileStored stored))
                {
                    offers.Stored(stored);
                }
            }
            if (!offers.HasWork)
            {
                SocketWait.For(_channel.Socket, Constants.POLLIN, _wake, 20);
            }
        }
        Assert.Empty(_collector.Faults);
    }
}
