using System.Text;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Storage;

/// <summary>However a guest makes losses, its ledgers grow by a few lines a second, and the sums stay exact.</summary>
public sealed class LedgerLinesTests : IDisposable
{
    private const int Burst = 64;
    private const int Slack = 16;

    private readonly StoreFixture _fixture = new();

    [Fact]
    public void Ring_loss_told_again_and_again_costs_few_lines()
    {
        ScriptedGuestRing ring = new(0);
        BootStore boot = _fixture.BeginSession();
        VcpuStream stream = boot.Stream(0);
        stream.Settle(ring.Hello);
        for (int i = 0; i < 5000; i++)
        {
            ring.LostEvents++;
            ring.ReadEvents++;
            stream.Hear(ring.Counters(final: true));
            stream.SettleEnded();
        }
        Assert.InRange(_fixture.BootLosses.Count, 2, Burst + Slack);
        Assert.Equal((5000ul, 5000ul), (stream.Figures.RingLost, stream.Figures.TransportLost));
        boot.CloseFiles();
        Assert.Equal((5000, 5000), (_fixture.Lost("ring"), _fixture.Lost("transport")));
    }

    [Fact]
    public void What_had_no_line_gets_one_a_little_later()
    {
        ScriptedGuestRing ring = new(0);
        BootStore boot = _fixture.BeginSession();
        VcpuStream stream = boot.Stream(0);
        for (int i = 0; i < 500; i++)
        {
            ring.ReadEvents++;
            stream.Settle(ring.Hello);
        }
        Assert.InRange(_fixture.Lost("transport"), 1, 499);
        _fixture.Clock.Advance(TimeSpan.FromSeconds(10));
        boot.Housekeep();
        Assert.Equal(500, _fixture.Lost("transport"));
    }

    [Fact]
    public void What_had_no_line_when_the_collector_died_is_declared_at_the_next_Hello()
    {
        ScriptedGuestRing ring = new(0);
        VcpuStream stream = _fixture.BeginSession().Stream(0);
        for (int i = 0; i < 500; i++)
        {
            ring.ReadEvents++;
            ring.LostEvents += 2;
            stream.Settle(ring.Hello);
        }
        _fixture.Restart();
        _fixture.BeginSession().Stream(0).Settle(ring.Hello);
        Assert.Equal((500, 1000), (_fixture.Lost("transport"), _fixture.Lost("ring")));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Gaps_of_the_kernel_log_share_lines_and_their_records_add_up(bool killed)
    {
        BootStore boot = _fixture.BeginSession();
        for (ulong i = 0; i < 2000; i++)
        {
            Assert.Equal(AppendState.Stored, boot.Kmsg().Append(Encoding.ASCII.GetBytes(ScriptedGuest.KmsgRecord(2 * i + 1, "x"))));
        }
        Assert.InRange(_fixture.BootLosses.Count, 1, Burst + Slack);
        if (killed)
        {
            _fixture.Restart();
            boot = _fixture.BeginSession();
            Assert.Equal(4000ul, boot.Kmsg().NextSequence);
        }
        boot.CloseFiles();
        await _fixture.Store.Worker.FlushAsync();
        Assert.Equal(2000, _fixture.BootLosses.Sum(l => l.Records));
        // Every second record is stored: a line with both ends is of one gap, and a line of more has no range that would contain stored ones.
        Assert.All(_fixture.BootLosses, l => Assert.Equal(l.Records == 1 ? l.Last : null, l.First));
        Assert.Contains(_fixture.BootLosses, l => l.Records > 1);
        Assert.InRange(_fixture.BootLosses.Count, 1, 2 * (Burst + Slack));
    }

    public void Dispose() => _fixture.Dispose();
}
