using VsockPair.Commands;
using VsockPair.History;
using VsockPair.HostCollector.Tests.Commands;
using VsockPair.HostCollector.Tests.Export;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.History;

/// <summary>Which boot's recording it is that a later boot found in the persistent ring.</summary>
public sealed class PreviousTraceTests : IDisposable
{
    private readonly SampleStore _store = new();

    public PreviousTraceTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.OldBoot, SampleStore.Noon.AddHours(-2));
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        // Written as a stream's segment is, and moved to where a find lies.
        new SampleTrace(_store).WriteSegment(3, 1000, SampleTrace.SubBufferOf(1000, 0, 5));
        Directory.Move(StorePaths.Trace(NewFolder), StorePaths.Previous(NewFolder));
    }

    private string NewFolder => _store.BootFolder(SampleStore.NewBoot);

    public void Dispose() => _store.Dispose();

    [Fact]
    public void Nothing_is_told_before_all_of_it_is_there() => Assert.Null(OpenOf(SampleStore.OldBoot));

    [Fact]
    public void Without_a_mark_it_is_of_the_boot_right_before()
    {
        WriteInfo("sub_buffer_bytes 4096\n\ntext delta:\t0\n");
        BootRecording recording = OpenOf(SampleStore.OldBoot)!;
        Assert.Equal((SampleStore.OldBoot, true, 3), (recording.Boot.Name, recording.IsPrevious, Assert.Single(recording.Vcpus).Number));
        Assert.Equal("text delta:\t0\n", PreviousTrace.TryOpen(StoredBoot.TryOpen(NewFolder)!)!.LastBootInfo);
        Assert.Null(OpenOf(SampleStore.NewBoot));
        Assert.Empty(BootRecording.Open(StoredBoot.TryOpen(NewFolder)!).Vcpus);
    }

    [Fact]
    public void With_a_mark_it_is_of_no_other_boot()
    {
        const string Between = "77777777-0000-0000-0000-000000000000";
        _store.AddBoot(Between, SampleStore.Noon.AddHours(-1));
        WriteInfo($"boot {SampleStore.OldBoot[..36]} clock boot\nsub_buffer_bytes 4096\n\n");
        Assert.NotNull(OpenOf(SampleStore.OldBoot));
        Assert.Null(OpenOf(Between));
    }

    [Fact]
    public void The_boots_own_losses_are_none_of_it()
    {
        WriteInfo("sub_buffer_bytes 4096\n\n");
        SampleStore.AddLosses(_store.BootFolder(SampleStore.OldBoot), new LossRecord { Time = SampleStore.Noon, Source = "transport", Stream = "cpu3", First = 1000, Events = 7 });
        BootRecording recording = OpenOf(SampleStore.OldBoot)!;
        LossMap losses = LossMap.Load(StoredGuest.Open(_store.Root, "web1"), recording, clock: null, TextWriter.Null);
        Assert.Empty(losses.Of(recording.Vcpus[0]).PlacedIn(TraceRange.All));
    }

    [Theory]
    [InlineData("")]
    [InlineData("boot\n")]
    [InlineData("boot not-a-guid clock\n\n")]
    public void Whatever_a_guest_writes_is_read(string info)
    {
        WriteInfo(info);
        Assert.Equal((null, null), (PreviousTrace.TryOpen(StoredBoot.TryOpen(NewFolder)!)!.BootId, PreviousTrace.TryOpen(StoredBoot.TryOpen(NewFolder)!)!.Clock));
    }

    private void WriteInfo(string text) => File.WriteAllText(Path.Combine(StorePaths.Previous(NewFolder), GuestPrevious.Info), text);

    private BootRecording? OpenOf(string boot)
    {
        StoredGuest guest = StoredGuest.Open(_store.Root, "web1");
        return PreviousTrace.TryOpenOf(guest, guest.Boots.Single(b => b.Name == boot));
    }
}
