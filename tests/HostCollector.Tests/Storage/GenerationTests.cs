using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Storage;

/// <summary>A new generation of a ring, with the collector killed at each point between its lines and the ring's record.</summary>
public sealed class GenerationTests : IDisposable
{
    private readonly StoreFixture _fixture = new();
    private readonly ScriptedGuestRing _ring = new(0);

    [Fact]
    public void Killed_before_its_record_has_the_new_generation_nothing_is_declared_twice()
    {
        BeginFirst();
        byte[] record = File.ReadAllBytes(StorePaths.Ring(_fixture.BootFolder, 0));
        _ring.NewGeneration();
        _fixture.BeginSession().Stream(0).Settle(_ring.Hello);
        _fixture.Restart();
        File.WriteAllBytes(StorePaths.Ring(_fixture.BootFolder, 0), record);
        AssertExactAfterHello();
    }

    [Fact]
    public void Killed_after_its_record_and_before_its_lines_the_next_Hello_declares_them()
    {
        BeginFirst();
        byte[] lines = File.ReadAllBytes(StorePaths.Losses(_fixture.BootFolder));
        SecondRing();
        _fixture.BeginSession().Stream(0).Settle(_ring.Hello);
        _fixture.Restart();
        File.WriteAllBytes(StorePaths.Losses(_fixture.BootFolder), lines);
        AssertExactAfterHello();
    }

    [Fact]
    public void While_its_record_cannot_be_written_nothing_of_the_new_generation_is_declared()
    {
        BeginFirst();
        long before = _fixture.Lost("transport");
        VcpuStream stream = _fixture.BeginSession().Stream(0);
        string blocked = StorePaths.Ring(_fixture.BootFolder, 0) + DurableFile.TemporarySuffix;
        Directory.CreateDirectory(blocked);
        SecondRing();
        Assert.ThrowsAny<Exception>(() => stream.Settle(_ring.Hello));
        Assert.Equal(before, _fixture.Lost("transport"));
        Directory.Delete(blocked);
        _fixture.Restart();
        AssertExactAfterHello();
    }

    [Fact]
    public void A_new_generation_writes_its_own_record_and_not_the_boots()
    {
        BootStore boot = _fixture.BeginSession();
        boot.Save();
        string record = StorePaths.BootRecord(boot.Folder);
        byte[] before = File.ReadAllBytes(record);
        File.SetLastWriteTimeUtc(record, DateTime.UnixEpoch);
        ScriptedGuestRing ring = new(3);
        for (int i = 0; i < 20; i++)
        {
            ring.NewGeneration();
            Assert.True(boot.Stream(3).Settle(ring.Hello));
        }
        Assert.Equal(before, File.ReadAllBytes(record));
        Assert.Equal(DateTime.UnixEpoch, File.GetLastWriteTimeUtc(record));
        _fixture.Restart();
        Assert.Equal(ring.Generation, _fixture.BeginSession().StreamIfKnown(3)?.Ring?.Generation);
    }

    /// <summary>Also when the collector that stored it was killed: an export places the loss behind it.</summary>
    [Fact]
    public void Transport_loss_names_the_sub_buffer_that_it_follows()
    {
        ulong start = _ring.Clock;
        BeginFirst();
        Assert.Equal(start + 1000, _fixture.BootLosses.Single(l => l.Source == "transport").First);
        StoreFixture.Append(_fixture.BeginSession().Stream(0), _ring.TakeSubBuffer(), 4096);
        _fixture.Restart();
        _ring.ReadEvents += 3;
        _fixture.BeginSession().Stream(0).Settle(_ring.Hello);
        Assert.Equal([(start + 1000, 9L), (start + 2000, 3L)], _fixture.BootLosses.Where(l => l.Source == "transport").Select(l => (l.First!.Value, l.Events!.Value)));
    }

    public void Dispose() => _fixture.Dispose();

    /// <summary>A first ring of which 9 events were read and never arrived, and 4 were overwritten.</summary>
    private void BeginFirst()
    {
        VcpuStream stream = _fixture.BeginSession().Stream(0);
        stream.Settle(_ring.Hello);
        StoreFixture.Append(stream, _ring.TakeSubBuffers(2), 4096);
        _ring.ReadEvents += 9;
        _ring.LostEvents = 4;
        stream.Settle(_ring.Hello);
        Assert.Equal((9, 4), (_fixture.Lost("transport"), _fixture.Lost("ring")));
    }

    private void SecondRing()
    {
        _ring.NewGeneration();
        _ring.ReadEvents = 10;
        _ring.LostEvents = 5;
    }

    private void AssertExactAfterHello()
    {
        _ring.ReadEvents = 10;
        _ring.LostEvents = 5;
        _fixture.BeginSession().Stream(0).Settle(_ring.Hello);
        Assert.Equal((19, 9), (_fixture.Lost("transport"), _fixture.Lost("ring")));
    }
}
