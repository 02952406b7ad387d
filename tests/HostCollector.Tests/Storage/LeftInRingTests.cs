using VsockPair.Protocol;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Storage;

/// <summary>What an agent that stops in a hurry leaves in a ring: sent by the next agent of that boot, or lost with it.</summary>
public sealed class LeftInRingTests : IDisposable
{
    private const int Left = 70;

    private readonly StoreFixture _fixture = new();
    private readonly ScriptedGuestRing _ring = new(0) { LostEvents = 4 };

    [Fact]
    public void Next_boot_declares_what_nobody_came_for()
    {
        Leave();
        Assert.Equal(4, _fixture.Lost("ring"));
        _fixture.BeginSession(Guid.NewGuid());
        Assert.Equal(4 + Left, _fixture.Lost("ring"));
        _fixture.BeginSession(Guid.NewGuid());
        Assert.Equal(4 + Left, _fixture.Lost("ring"));
    }

    [Fact]
    public void Next_agent_of_the_boot_sends_it_and_nothing_is_declared()
    {
        Leave();
        VcpuStream stream = _fixture.BeginSession().Stream(0);
        Assert.True(stream.Settle(_ring.Hello));
        StoreFixture.Append(stream, _ring.TakeSubBuffer(Left), _ring.SubBufferBytes);
        Assert.True(stream.Hear(_ring.Counters(final: true)));
        _fixture.BeginSession(Guid.NewGuid());
        Assert.Equal((4, 0), (_fixture.Lost("ring"), _fixture.Lost("transport")));
    }

    [Fact]
    public void Collector_killed_around_the_line_declares_it_once()
    {
        Leave();
        byte[] record = File.ReadAllBytes(StorePaths.BootRecord(_fixture.BootFolder));
        byte[] ring = File.ReadAllBytes(StorePaths.Ring(_fixture.BootFolder, 0));
        _fixture.Restart();
        _fixture.BeginSession(Guid.NewGuid());
        Assert.Equal(4 + Left, _fixture.Lost("ring"));
        _fixture.Restart();
        File.WriteAllBytes(StorePaths.BootRecord(_fixture.BootFolder), record);
        File.WriteAllBytes(StorePaths.Ring(_fixture.BootFolder, 0), ring);
        _fixture.BeginSession(Guid.NewGuid());
        Assert.Equal(4 + Left, _fixture.Lost("ring"));
    }

    public void Dispose() => _fixture.Dispose();

    /// <summary>A session that ends with events left in the ring.</summary>
    private void Leave()
    {
        BootStore boot = _fixture.BeginSession();
        VcpuStream stream = boot.Stream(0);
        Assert.True(stream.Settle(_ring.Hello));
        StoreFixture.Append(stream, _ring.TakeSubBuffers(2), _ring.SubBufferBytes);
        Assert.True(stream.Hear(_ring.Counters()));
        stream.Hear(new EventsLeft(0, _ring.Generation, Left));
        stream.SettleEnded();
        boot.CloseFiles();
        boot.Save();
    }
}
