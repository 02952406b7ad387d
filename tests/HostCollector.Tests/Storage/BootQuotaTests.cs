using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class BootQuotaTests : IDisposable
{
    private const int MaxBoots = 256;

    private readonly StoreFixture _fixture = new();

    [Fact]
    public void New_boots_are_refused_when_too_many_come_in_a_short_time()
    {
        for (int i = 0; i < 16; i++)
        {
            _fixture.BeginSession(Guid.NewGuid());
        }
        Assert.Throws<IOException>(() => _fixture.BeginSession(Guid.NewGuid()));
        _fixture.Clock.Advance(TimeSpan.FromSeconds(11));
        _fixture.BeginSession(Guid.NewGuid());
        Assert.Throws<IOException>(() => _fixture.BeginSession(Guid.NewGuid()));
    }

    [Fact]
    public async Task Over_the_bound_the_oldest_boot_without_data_goes_and_leaves_a_line()
    {
        BootStore withData = _fixture.BeginSession();
        ScriptedGuestRing ring = new(0);
        VcpuStream stream = withData.Stream(0);
        stream.Settle(ring.Hello);
        StoreFixture.Append(stream, ring.TakeSubBuffers(2), 4096);
        withData.CloseFiles();
        await _fixture.Store.Worker.FlushAsync();
        End(withData);
        List<string> boots = [withData.Folder];
        for (int i = 0; i < MaxBoots + 4; i++)
        {
            _fixture.Clock.Advance(TimeSpan.FromSeconds(10));
            BootStore boot = _fixture.BeginSession(Guid.NewGuid());
            boots.Add(boot.Folder);
            End(boot);
        }
        Assert.Equal(MaxBoots, _fixture.Guest.BootFolders.Count());
        Assert.True(Directory.Exists(withData.Folder));
        Assert.Equal(boots[1..6].Select(Path.GetFileName), _fixture.GuestLosses.Select(l => l.Boot));
    }

    [Fact]
    public async Task A_guest_that_was_not_seen_for_long_shrinks_to_its_record_and_lines()
    {
        BootStore boot = _fixture.BeginSession();
        _fixture.Guest.SaveRecord(_ => new GuestRecord { Name = StoreFixture.GuestName, IdentifiedBy = "socket", FirstSeen = boot.Now, LastSeen = boot.Now });
        ScriptedGuestRing ring = new(0);
        boot.Stream(0).Settle(ring.Hello);
        StoreFixture.Append(boot.Stream(0), ring.TakeSubBuffers(2), 4096);
        _fixture.Clock.Advance(TimeSpan.FromDays(6));
        Assert.Equal(0, Forget());
        boot.CloseFiles();
        await _fixture.Store.Worker.FlushAsync();
        End(boot);
        // Its session lasted six days: unseen since its end.
        _fixture.Clock.Advance(TimeSpan.FromDays(6));
        Assert.Equal(0, Forget());
        _fixture.Clock.Advance(TimeSpan.FromDays(2));
        Assert.Equal(1, Forget());
        Assert.Empty(_fixture.Guest.BootFolders);
        LossRecord line = Assert.Single(_fixture.GuestLosses);
        Assert.Equal((boot.Name, (long)ring.ReadEvents), (line.Boot, line.Events));
        Assert.True(line.Bytes >= 2 * 4096);
        Assert.True(File.Exists(StorePaths.GuestRecord(_fixture.Guest.Folder)));
        Assert.Equal(0, Forget());
    }

    [Fact]
    public void A_boot_that_a_session_holds_is_not_removed_whatever_its_record_says()
    {
        BootStore held = _fixture.BeginSession();
        _fixture.Guest.SaveRecord(_ => new GuestRecord { Name = StoreFixture.GuestName, IdentifiedBy = "socket", FirstSeen = held.Now, LastSeen = held.Now });
        held.Change(r => r with { Ended = held.Now, EndReason = "superseded" });
        held.Save(synced: true);
        _fixture.Clock.Advance(TimeSpan.FromDays(8));
        Assert.Equal(0, Forget());
        for (int i = 0; i < MaxBoots; i++)
        {
            _fixture.Clock.Advance(TimeSpan.FromSeconds(10));
            End(_fixture.BeginSession(Guid.NewGuid()));
        }
        Assert.Equal(MaxBoots, _fixture.Guest.BootFolders.Count());
        Assert.True(Directory.Exists(held.Folder));
        held.Holds.Return();
        _fixture.Clock.Advance(TimeSpan.FromSeconds(10));
        End(_fixture.BeginSession(Guid.NewGuid()));
        Assert.False(Directory.Exists(held.Folder));
    }

    [Fact]
    public async Task Boots_that_are_over_are_let_go_of_and_come_back_from_their_files()
    {
        ScriptedGuestRing ring = new(0);
        BootStore first = _fixture.BeginSession();
        first.Stream(0).Settle(ring.Hello);
        StoreFixture.Append(first.Stream(0), ring.TakeSubBuffers(2), 4096);
        _fixture.Guest.LetGoOfEnded();
        for (int i = 0; i < 10; i++)
        {
            _fixture.Clock.Advance(TimeSpan.FromSeconds(10));
            BootStore next = _fixture.BeginSession(Guid.NewGuid());
            next.Stream(0).Settle(new ScriptedGuestRing(0).Hello);
            End(next);
        }
        first.Change(r => r with { Ended = first.Now, EndReason = "superseded" });
        first.Save(synced: true);
        _fixture.Guest.LetGoOfEnded();
        Assert.Equal(2, _fixture.Guest.Boots.Count);
        // It is held, and then its segment is open, and then waits to be closed.
        first.Holds.Return();
        _fixture.Guest.LetGoOfEnded();
        Assert.Contains(first, _fixture.Guest.Boots);
        first.CloseFiles();
        await _fixture.Store.Worker.FlushAsync();
        _fixture.Guest.LetGoOfEnded();
        Assert.DoesNotContain(first, _fixture.Guest.Boots);
        Assert.False(first.Holds.TryTake());

        BootStore again = _fixture.BeginSession();
        Assert.Equal(first.Folder, again.Folder);
        Assert.NotSame(first, again);
        Assert.True(again.Stream(0).Settle(ring.Hello));
        Assert.Equal((ring.ReadEvents, 0ul, 0ul), again.Stream(0).Figures);
    }

    [Fact]
    public void A_killed_collector_still_knows_how_far_the_guests_clock_was()
    {
        BootStore boot = _fixture.BeginSession(_fixture.BootId, bootClock: 1000);
        boot.AppendClock(new ClockSample { Time = boot.Now, HostMonotonic = 1, HostRealTime = 1, GuestBoot = 3000, GuestRealTime = 1, Error = 1 });
        // Torn by the kill.
        File.AppendAllText(StorePaths.Clock(boot.Folder), "{\"time\":");
        _fixture.Restart();
        Assert.Equal($"{_fixture.BootId}.1", _fixture.BeginSession(_fixture.BootId, bootClock: 2999).Name);
        _fixture.Restart();
        Assert.Equal($"{_fixture.BootId}.1", _fixture.BeginSession(_fixture.BootId, bootClock: 2999).Name);
        Assert.Equal($"{_fixture.BootId}.1", _fixture.BeginSession(_fixture.BootId).Name);
    }

    public void Dispose() => _fixture.Dispose();

    private int Forget() => _fixture.Guest.ForgetBoots(_fixture.Store.Now - TimeSpan.FromDays(7));

    private static void End(BootStore boot)
    {
        boot.Change(r => r with { Ended = boot.Now, EndReason = "goodbye" });
        boot.Save(synced: true);
        boot.Holds.Return();
    }
}
