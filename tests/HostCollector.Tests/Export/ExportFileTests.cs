using Mono.Unix.Native;
using VsockPair.Commands;
using VsockPair.Export;
using VsockPair.HostCollector.Tests.Commands;

namespace VsockPair.HostCollector.Tests.Export;

/// <summary>Where an export goes, in folders where others may write as well.</summary>
public sealed class ExportFileTests : IDisposable
{
    private const ulong Start = 100_000_000_000;
    private const UnixFileMode OwnersAlone = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode AndGroup = OwnersAlone | UnixFileMode.GroupRead;

    private readonly SampleStore _store = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("vsockpair-export-").FullName;

    public ExportFileTests()
    {
        _store.AddGuest("web1");
        _store.AddBoot(SampleStore.NewBoot, SampleStore.Noon);
        SampleTrace trace = new(_store);
        trace.WriteMetadata();
        for (int i = 0; i < 200; i++)
        {
            trace.WriteSegment(0, Start, SampleTrace.SubBufferOf(Start + (ulong)i * 1_000_000, i * 100, 100));
        }
    }

    private string Target => Path.Combine(_folder, "out.txt");

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        _store.Dispose();
    }

    /// <summary>The name that an unfinished file had: the target's, and this process's number.</summary>
    [Fact]
    public void A_link_that_waits_under_a_name_that_can_be_guessed_is_not_followed()
    {
        string victim = Path.Combine(_folder, "victim");
        File.WriteAllText(victim, "precious");
        File.CreateSymbolicLink($"{Target}.{Environment.ProcessId}.tmp", victim);
        string[] before = Directory.GetFiles(_folder);
        using (ExportFile file = ExportFile.Create(Target, canBeStreamed: false, CancellationToken.None))
        {
            file.Stream.Write("trace"u8);
            string unfinished = Assert.Single(Directory.GetFiles(_folder).Except(before));
            Assert.Matches("/out\\.txt\\.[0-9a-f]{32}\\.tmp$", unfinished);
            file.Publish();
        }
        Assert.Equal("precious", File.ReadAllText(victim));
        Assert.Equal("trace", File.ReadAllText(Target));
        Assert.Equal([Target], Directory.GetFiles(_folder).Except(before));
    }

    [Fact]
    public async Task It_is_as_secret_as_the_store_and_what_it_replaces_keeps_its_mode()
    {
        await ExportAsync();
        Assert.Equal(AndGroup, File.GetUnixFileMode(Target));
        File.SetUnixFileMode(Target, OwnersAlone);
        await ExportAsync();
        Assert.Equal(OwnersAlone, File.GetUnixFileMode(Target));
    }

    [Fact]
    public async Task A_file_in_its_place_that_is_somebody_elses_does_not_open_it_to_all()
    {
        await File.WriteAllTextAsync(Target, "mine");
        File.SetUnixFileMode(Target, AndGroup | UnixFileMode.OtherRead | UnixFileMode.OtherWrite);
        if (Syscall.chown(Target, 65534, 65534) != 0)
        {
            // Only root can give files away, and only root has this problem.
            return;
        }
        await ExportAsync();
        Assert.Equal(AndGroup, File.GetUnixFileMode(Target));
    }

    [Fact]
    public async Task Waiting_for_a_pipes_reader_ends_when_it_is_told_to()
    {
        Pipe();
        using CancellationTokenSource stop = new();
        Task<ExportFile> waiting = Task.Run(() => ExportFile.Create(Target, canBeStreamed: true, stop.Token));
        Assert.NotSame(waiting, await Task.WhenAny(waiting, Task.Delay(200)));
        await stop.CancelAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => waiting.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task A_pipes_reader_that_has_seen_enough_is_no_failure()
    {
        Pipe();
        Task<int> reader = Task.Run(() =>
        {
            using FileStream pipe = File.OpenRead(Target);
            return pipe.ReadByte();
        });
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", Target, "--format", "ndjson");
        Assert.Equal(((int)'{', ExitCode.Done, ""), (await reader, exitCode, error));
    }

    private async Task ExportAsync()
    {
        (int exitCode, _, string error) = await _store.RunAsync("export", "web1", "-o", Target);
        Assert.True(exitCode == ExitCode.Done, error);
    }

    private void Pipe() => Assert.Equal(0, Syscall.mkfifo(Target, FilePermissions.S_IRUSR | FilePermissions.S_IWUSR));
}
