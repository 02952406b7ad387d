using VsockPair.Listening;
using VsockPair.Options;

namespace VsockPair.HostCollector.Tests.Listening;

public sealed class IdentityMapTests : IDisposable
{
    private static readonly Guid Uuid = Guid.NewGuid();

    private readonly DirectoryInfo _store = Directory.CreateTempSubdirectory("vp");
    private readonly CollectorOptions _options;

    public IdentityMapTests()
    {
        _store.CreateSubdirectory("identity");
        _options = new CollectorOptions
        {
            StoreDirectory = _store.FullName,
            Guests = [new GuestOptions("mapped") { Cid = 42 }, new GuestOptions("known") { Uuid = Uuid }],
        };
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(2u)]
    [InlineData(uint.MaxValue)]
    public void No_guest_has_a_reserved_cid(uint cid) => Assert.Null(new IdentityMap(_options).Resolve(cid));

    [Fact]
    public void Loopback_is_a_guest_only_when_allowed() => Assert.Equal(
        "cid-1", new IdentityMap(_options with { Listen = new ListenOptions { AllowLoopback = true } }).Resolve(1)?.Name);

    [Fact]
    public void The_configuration_goes_before_what_was_published_and_an_unknown_cid_is_its_own_name()
    {
        Publish("a", "{\"name\":\"published\",\"cid\":42}");
        Publish("b", "{\"name\":\"published\",\"cid\":43}");
        Publish("c", $"{{\"name\":\"libvirt-name\",\"uuid\":\"{Uuid}\",\"cid\":44}}");
        Publish("d", "{\"name\":\"../../etc\",\"cid\":45}");
        Publish("e", "{ damaged");
        IdentityMap map = new(_options);
        Assert.Equal([("mapped", "map"), ("published", "identity"), ("known", "identity"), ("cid-45", "cid"), ("cid-46", "cid")],
            new uint[] { 42, 43, 44, 45, 46 }.Select(cid => map.Resolve(cid)!).Select(i => (i.Name, i.IdentifiedBy)));
    }

    [Fact]
    public void A_file_that_cannot_be_read_hides_no_other_and_a_change_is_seen()
    {
        // Listed, and reading it fails: as when a VM ends meanwhile.
        File.CreateSymbolicLink(Path.Combine(_store.FullName, "identity", "a.json"), "/proc/self/mem");
        Publish("b", "{\"name\":\"first\",\"cid\":50}");
        IdentityMap map = new(_options);
        Assert.Equal("first", map.Resolve(50)!.Name);
        File.Delete(Path.Combine(_store.FullName, "identity", "b.json"));
        Publish("c", "{\"name\":\"second\",\"cid\":50}");
        Assert.Equal("second", map.Resolve(50)!.Name);
    }

    public void Dispose() => _store.Delete(recursive: true);

    private void Publish(string file, string json) => File.WriteAllText(Path.Combine(_store.FullName, "identity", file + ".json"), json);
}
