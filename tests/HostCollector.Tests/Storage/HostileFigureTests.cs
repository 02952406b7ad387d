using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class HostileFigureTests : IDisposable
{
    private readonly StoreFixture _fixture = new();

    [Fact]
    public void Sums_of_huge_losses_do_not_wrap()
    {
        LossTotals totals = new();
        for (int i = 0; i < 3; i++)
        {
            totals.Add(new LossRecord { Time = default, Source = LossSources.Ring, Stream = "cpu0", Events = long.MaxValue });
        }
        Assert.Equal(ulong.MaxValue, totals.RingEvents);
    }

    [Fact]
    public async Task Segments_of_equal_time_stamps_get_names_that_rise()
    {
        ScriptedGuestRing ring = new(0);
        VcpuStream stream = _fixture.BeginSession().Stream(0);
        stream.Settle(ring.Hello);
        for (int i = 0; i < 5; i++)
        {
            ring.Clock = 100;
            StoreFixture.Append(stream, ring.TakeSubBuffer(), 4096);
            stream.RotateOlderThan(TimeSpan.Zero);
        }
        await _fixture.Store.Worker.FlushAsync();
        string[] names = [.. Enumerable.Range(100, 5).Select(t => StorePaths.SegmentName((ulong)t, 4096))];
        Assert.Equal(names, Directory.GetFiles(StorePaths.Vcpu(_fixture.BootFolder, 0), "*.pages").Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_stray_file_among_pstore_records_does_not_keep_a_guest_out()
    {
        _fixture.BeginSession();
        Directory.CreateDirectory(StorePaths.Pstore(_fixture.BootFolder));
        File.WriteAllText(Path.Combine(StorePaths.Pstore(_fixture.BootFolder), "note"), "");
        _fixture.Restart();
        Assert.Equal(StoreFixture.GuestName, _fixture.Guest.Name);
    }

    public void Dispose() => _fixture.Dispose();
}
