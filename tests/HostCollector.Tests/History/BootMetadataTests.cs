using VsockPair.Commands;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Export;
using VsockPair.History;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.History;

public sealed class BootMetadataTests : IDisposable
{
    private const string Name = "saved_cmdlines";

    private readonly SampleStore _store = new();
    private readonly SampleTrace _trace;

    public BootMetadataTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        _trace = new SampleTrace(_store);
        _trace.WriteMetadata(new Dictionary<string, byte[]> { [Name] = "1 old\n"u8.ToArray() });
    }

    public void Dispose() => _store.Dispose();

    /// <summary>The collector writes boot.json and then removes what it does not name any more.</summary>
    [Fact]
    public void File_that_is_replaced_while_one_reads_is_found_under_its_new_hash()
    {
        BootMetadata metadata = Open();
        Remove();
        _trace.WriteMetadata(new Dictionary<string, byte[]> { [Name] = "1 new\n"u8.ToArray() });
        Assert.True(metadata.Has(Name));
        Assert.Equal("1 new\n"u8.ToArray(), metadata.Read(Name));
        Assert.Equal("1 new\n"u8.ToArray(), Open().Read(Name));
    }

    [Fact]
    public void File_that_is_gone_is_none()
    {
        BootMetadata metadata = Open();
        Remove();
        Assert.Null(metadata.Read(Name));
        Assert.False(metadata.Has(Name));
        Directory.Delete(_store.BootFolder(SampleStore.NewBoot), recursive: true);
        Assert.Null(metadata.Read(Name));
    }

    private BootMetadata Open() => new(_store.Root, StoredBoot.TryOpen(_store.BootFolder(SampleStore.NewBoot))!);

    private void Remove() => File.Delete(Assert.Single(Directory.GetFiles(StorePaths.Metadata(_store.Root))));
}
