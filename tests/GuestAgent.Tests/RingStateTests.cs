using VsockPair.GuestAgent.Tracing;

namespace VsockPair.GuestAgent.Tests;

public sealed class RingStateTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("agent-state-").FullName;

    [Fact]
    public void Survives_the_process_within_its_boot()
    {
        Guid boot = Guid.NewGuid();
        RingState saved = new() { BootId = boot, Session = Guid.NewGuid(), Generation = Guid.NewGuid(), SubBufferBytes = 65536, AskedBufferKb = 512 };
        saved.Save(_folder);

        RingState? loaded = RingState.Load(_folder, boot);

        Assert.NotNull(loaded);
        Assert.Equal((saved.Session, saved.Generation, 65536, 512), (loaded.Session, loaded.Generation, loaded.SubBufferBytes, loaded.AskedBufferKb));
    }

    [Fact]
    public void Is_nothing_in_another_boot()
    {
        new RingState { BootId = Guid.NewGuid() }.Save(_folder);

        Assert.Null(RingState.Load(_folder, Guid.NewGuid()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("boot=garbage\nsession=\n")]
    [InlineData("\0\0\0\0")]
    public void A_file_that_is_no_state_is_nothing(string text)
    {
        File.WriteAllText(Path.Combine(_folder, "ring"), text);

        Assert.Null(RingState.Load(_folder, Guid.Empty));
    }

    [Fact]
    public void Only_one_agent_has_the_folder()
    {
        using AgentState? first = AgentState.Open(_folder, Guid.NewGuid());
        Assert.NotNull(first);
        Assert.Null(AgentState.Open(_folder, Guid.NewGuid()));

        first.Dispose();
        using AgentState? second = AgentState.Open(_folder, Guid.NewGuid());
        Assert.NotNull(second);
    }

    [Fact]
    public void What_cannot_be_read_or_locked_is_a_fault_and_the_agent_goes_on_without()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "unreadable", "ring"));
        Directory.CreateDirectory(Path.Combine(_folder, "unlockable", "lock"));

        foreach (string folder in (string[])["unreadable", "unlockable"])
        {
            // Folders where files should be: root, who runs the agent, could read anything else.
            using AgentState? state = AgentState.Open(Path.Combine(_folder, folder), Guid.NewGuid());

            Assert.NotNull(state?.Fault);
            Assert.Equal(Guid.Empty, state.Ring.Generation);
            state.Change(state.Ring.InSession(Guid.NewGuid()));
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
