using System.Text;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;

namespace VsockPair.Vm.Tests;

/// <summary>One recording: a store with one boot of one guest in it, and the guest's own symbols.</summary>
/// <param name="Kallsyms">The guest's <c>/proc/kallsyms</c> as it was.</param>
internal sealed record Recording(string Store, string Guest, int Cpus, string Kallsyms)
{
    public StoredBoot Boot => new StoredGuest(Store, Guest).OnlyBoot;
}

/// <summary>
/// Several recordings of one booted guest: between two of them agent and collector end, the guest's part of the store is moved away, and both start again.
/// The ring is made anew each time.
/// </summary>
internal sealed class RecordingBench : IAsyncDisposable
{
    private const string Instance = "/sys/kernel/tracing/instances/vsockpair";

    private readonly Lab _lab = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("vsockpair-recordings-").FullName;
    private AgentGuest? _guest;
    private int _recordings;

    public AgentGuest Guest => _guest!;

    public Lab Lab => _lab;

    public static async Task<RecordingBench> StartAsync(GuestKernel kernel, int cpus)
    {
        RecordingBench bench = new();
        await bench._lab.Collector.StartAsync();
        bench._guest = await bench._lab.StartGuestAsync(new GuestOptions { Kernel = kernel, Cpus = cpus, Name = "web1" });
        await bench._lab.WaitForStreamsAsync(bench._guest);
        return bench;
    }

    /// <param name="configuration">The agent's.</param>
    /// <param name="before">Shell commands of the guest, before its agent starts: what they define can be recorded.</param>
    /// <param name="load">What goes on while it records.</param>
    /// <param name="after">Shell commands that undo the others.</param>
    public async Task<Recording> RecordAsync(string configuration, string before, Func<AgentGuest, Task> load, string after = "")
    {
        await StopAsync();
        Directory.Delete(_lab.Stored("web1").Folder, recursive: true);
        await ShellAsync($"rm -rf /run/vsockpair-agent; rmdir {Instance}; {before}");
        await ShellAsync($"cat > /etc/vsockpair/agent.conf <<'END'\n{configuration}\nEND");
        await _lab.Collector.StartAsync();
        await Guest.StartAgentAsync();
        await _lab.WaitForStreamsAsync(Guest);
        await load(Guest);
        string kallsyms = Encoding.Latin1.GetString(await Guest.Guest.ReadFileAsync("/proc/kallsyms"));
        await _lab.EndAsync(Guest);
        await ShellAsync(after + "\ntrue");

        string store = Path.Combine(_folder, $"{_recordings++}");
        Directory.CreateDirectory(Path.Combine(store, "guests"));
        CopyFolder(_lab.Stored("web1").Folder, Path.Combine(store, "guests", "web1"));
        Directory.CreateSymbolicLink(Path.Combine(store, "metadata"), Path.Combine(_lab.Collector.Store, "metadata"));
        return new Recording(store, "web1", Guest.Cpus, kallsyms);
    }

    public async Task ShellAsync(string commands) => (await Guest.Guest.RunAsync(commands)).EnsureSuccess();

    public async ValueTask DisposeAsync()
    {
        await _lab.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task StopAsync()
    {
        if ((await Guest.Guest.RunAsync("pidof vsockpair-agent")).Text.Trim().Length > 0)
        {
            await _lab.EndAsync(Guest);
        }
        await _lab.Collector.StopAsync();
    }

    private static void CopyFolder(string from, string to)
    {
        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
