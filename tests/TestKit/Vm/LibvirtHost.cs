namespace VsockPair.TestKit.Vm;

/// <summary>
/// A libvirtd of the test's own, as root, at the paths that the system's has: in a mount namespace in which these are folders of the test. What is run <see cref="Inside"/> sees
/// libvirt as on a real host. QEMU runs as libvirt's own user, which Debian makes in the package with the services; here only this namespace knows it.
/// </summary>
public sealed class LibvirtHost : IAsyncDisposable
{
    public const string Uri = "qemu:///system";

    private const string Dumps = "lib/qemu/dump";

    // A libvirtd that is killed leaves its guests running: whoever finds it gone ends them.
    private const string Script = """
        set -e
        cd "$1"
        mkdir etc lib run log cache
        for pair in etc/libvirt:etc var/lib/libvirt:lib run/libvirt:run var/log/libvirt:log var/cache/libvirt:cache; do
            mkdir -p "/${pair%:*}"
            mount --bind "$1/${pair#*:}" "/${pair%:*}"
        done
        for file in passwd group; do
            cp /etc/$file $file
        done
        if ! grep -q ^libvirt-qemu: passwd; then
            echo libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin >>passwd
            echo libvirt-qemu:x:64055: >>group
        fi
        for file in passwd group; do
            mount --bind $file /etc/$file
        done
        printf 'cgroup_controllers = []\nnamespaces = []\nstdio_handler = "file"\n' >etc/qemu.conf
        echo 'auth_unix_rw = "none"' >etc/libvirtd.conf
        echo $$ >pid
        self=$$
        (
            while kill -0 $self; do
                sleep 0.2
            done
            rm -f run/qemu/driver.pid
            for file in run/qemu/*.pid; do
                [ ! -f "$file" ] || kill -KILL $(cat "$file") || true
            done
            touch ended
        ) >/dev/null 2>&1 &
        exec libvirtd
        """;

    private readonly string _folder;
    private readonly ChildProcess _daemon;
    private readonly string _pid;

    private LibvirtHost(string folder, ChildProcess daemon)
    {
        _folder = folder;
        _daemon = daemon;
        _pid = File.ReadAllText(Path.Combine(folder, "pid")).Trim();
    }

    /// <summary>Before a program and its arguments: runs it where libvirt is this one.</summary>
    public IReadOnlyList<string> Inside => ["/usr/bin/nsenter", $"--mount=/proc/{_pid}/ns/mnt"];

    /// <summary>Names of the dumps that libvirt has taken by itself and that are still where it put them.</summary>
    public IReadOnlyList<string> AutomaticDumps => [.. Directory.GetFiles(Path.Combine(_folder, Dumps)).Select(f => Path.GetFileName(f))];

    public static async Task<LibvirtHost> StartAsync()
    {
        RigCache.Require("/usr/sbin/libvirtd", "libvirt-daemon");
        RigCache.Require("/usr/bin/virsh", "libvirt-clients");
        string folder = Directory.CreateTempSubdirectory("vsockpair-libvirt-").FullName;
        // Other users' QEMUs pass through it.
        File.SetUnixFileMode(folder, (UnixFileMode)0b111_101_101);
        ChildProcess daemon = ChildProcess.Start("/usr/bin/unshare", ["--mount", "--propagation", "private", "/bin/sh", "-c", Script, "libvirtd", folder]);
        try
        {
            using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
            await GuestProcesses.WaitForSocketAsync(Path.Combine(folder, "run", "libvirt-sock"), daemon, limit.Token);
            return new LibvirtHost(folder, daemon);
        }
        catch
        {
            await daemon.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a command of virsh, as an operator would.</summary>
    public async Task<string> VirshAsync(params IEnumerable<string> arguments) =>
        System.Text.Encoding.UTF8.GetString(await HostCommand.RunAsync(Inside[0], [.. Inside.Skip(1), "virsh", "-c", Uri, .. arguments]));

    public async ValueTask DisposeAsync()
    {
        await _daemon.DisposeAsync();
        while (!File.Exists(Path.Combine(_folder, "ended")))
        {
            await Task.Delay(50);
        }
        Directory.Delete(_folder, recursive: true);
    }
}
