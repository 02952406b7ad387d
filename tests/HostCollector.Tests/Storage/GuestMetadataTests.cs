using System.Globalization;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Storage;

/// <summary>However often a guest comes and whatever it offers, its part of metadata/ is bounded, and what no boot.json names is gone.</summary>
public sealed class GuestMetadataTests : IDisposable
{
    private readonly StoreFixture _fixture = new();

    [Fact]
    public void Bytes_of_a_guest_are_bounded_over_boots_and_restarts_and_others_have_their_own()
    {
        const long third = GuestMetadata.MaxBytes / 3 + 1;
        Store("a", third);
        Store("b", third);
        Store("c", third);
        Assert.True(Name(_fixture.BeginSession(), "btf", "a"));
        BootStore second = _fixture.BeginSession(Guid.NewGuid());
        Assert.True(Name(second, "btf", "b"));
        Assert.True(Name(second, "again", "a"));
        Assert.False(Name(second, "more", "c"));
        second.Save(synced: true);
        _fixture.BeginSession().Save(synced: true);
        _fixture.Restart();
        Assert.False(_fixture.Guest.Metadata.HasRoom(third));
        Assert.False(Name(_fixture.BeginSession(Guid.NewGuid()), "btf", "c"));
        Assert.True(_fixture.Store.Guest("other").Metadata.HasRoom(GuestMetadata.MaxBytes));
    }

    [Fact]
    public void Names_of_a_guest_are_bounded_over_boots()
    {
        Store("a", 3);
        for (int boot = 0; boot < GuestMetadata.MaxNames / GuestMetadata.MaxNamesOfBoot; boot++)
        {
            Assert.Equal(GuestMetadata.MaxNamesOfBoot, NameMany(BeginBoot(), GuestMetadata.MaxNamesOfBoot + 5));
        }
        Assert.Equal(0, NameMany(BeginBoot(), 1));
        Assert.False(_fixture.Guest.Metadata.HasRoom(0));
    }

    [Fact]
    public void A_version_that_was_replaced_is_removed_once_no_boot_json_names_it()
    {
        _fixture.Store.Metadata.RemoveUnused();
        Store("old", 10);
        Store("new", 10);
        BootStore boot = _fixture.BeginSession();
        Assert.True(Name(boot, "saved_cmdlines", "old"));
        boot.Save(synced: true);
        Assert.True(Name(boot, "saved_cmdlines", "new"));
        // Killed here, the boot still has the old one.
        Assert.True(Has("old"));
        boot.Save(synced: true);
        Assert.False(Has("old"));
        Assert.True(Has("new"));
    }

    [Fact]
    public void A_file_that_another_boot_or_guest_names_stays_also_after_a_restart()
    {
        Store("shared", 10);
        Store("unused", 10);
        BootStore boot = _fixture.BeginSession();
        Assert.True(Name(boot, "btf", "shared"));
        Assert.True(Name(Other(), "btf", "shared"));
        boot.Save(synced: true);
        Other().Save(synced: true);
        _fixture.Restart();
        // The other guest has not been seen since the start: its boots are read before anything goes.
        boot = _fixture.BeginSession();
        boot.ForgetMetadata();
        boot.Save(synced: true);
        Assert.True(Has("shared"));
        _ = _fixture.Store.Guest("other").Metadata;
        Assert.Equal(1, _fixture.Store.Metadata.RemoveUnused());
        Assert.Equal((true, false), (Has("shared"), Has("unused")));
        Other().ForgetMetadata();
        Other().Save(synced: true);
        Assert.False(Has("shared"));
    }

    [Fact]
    public void A_boot_that_ended_before_MaxAge_lets_go_of_its_metadata()
    {
        BootStore boot = EndedBoot(out DateTimeOffset end);
        _fixture.Guest.ForgetMetadata(endedBefore: end);
        boot.Save(synced: true);
        Assert.True(Has("a"));
        _fixture.Guest.ForgetMetadata(endedBefore: end.AddSeconds(1));
        boot.Save(synced: true);
        Assert.False(Has("a"));
    }

    [Fact]
    public void A_guest_that_is_forgotten_leaves_no_metadata()
    {
        BootStore boot = EndedBoot(out DateTimeOffset end);
        boot.Save(synced: true);
        boot.Holds.Return();
        _fixture.Guest.SaveRecord(_ => new GuestRecord { Name = StoreFixture.GuestName, IdentifiedBy = "socket", FirstSeen = end, LastSeen = end });
        Assert.Equal(1, _fixture.Guest.ForgetBoots(end.AddSeconds(1)));
        Assert.False(Has("a"));
    }

    public void Dispose() => _fixture.Dispose();

    private BootStore EndedBoot(out DateTimeOffset end)
    {
        _fixture.Store.Metadata.RemoveUnused();
        Store("a", 10);
        BootStore boot = _fixture.BeginSession();
        Assert.True(Name(boot, "btf", "a"));
        DateTimeOffset now = end = _fixture.Store.Now;
        boot.Change(r => r with { Ended = now });
        return boot;
    }

    private BootStore Other() => _fixture.BeginSession(_fixture.BootId, "other");

    private BootStore BeginBoot()
    {
        // A new boot every ten seconds is accepted.
        _fixture.Clock.Advance(TimeSpan.FromMinutes(1));
        return _fixture.BeginSession(Guid.NewGuid());
    }

    private int NameMany(BootStore boot, int names) => Enumerable.Range(0, names).Count(i => Name(boot, i.ToString(CultureInfo.InvariantCulture), "a"));

    private bool Has(string hash) => File.Exists(_fixture.Store.Metadata.PathOf(hash));

    /// <summary>Sparse: only its length counts.</summary>
    private void Store(string hash, long bytes)
    {
        using FileStream file = File.Create(_fixture.Store.Metadata.PathOf(hash));
        file.SetLength(bytes);
    }

    /// <summary>As a session does.</summary>
    private bool Name(BootStore boot, string name, string hash)
    {
        Assert.True(_fixture.Store.Metadata.TryHold(hash));
        bool named = boot.TryNameMetadata(name, hash);
        _fixture.Store.Metadata.Release(hash);
        return named;
    }
}
