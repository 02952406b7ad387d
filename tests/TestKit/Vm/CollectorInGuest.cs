using System.Formats.Tar;

namespace VsockPair.TestKit.Vm;

/// <summary>The collector inside a guest, where AF_VSOCK is real: its files, and its store brought back to this machine.</summary>
public static class CollectorInGuest
{
    private const string Program = "/opt/vsockpair/vsockpair";
    private const string Store = "/tmp/store";

    /// <summary>Starts it and waits until it listens on port 829.</summary>
    public const string Start = $"{Configure}{Program} serve {Rest}";

    /// <summary>The same, with a listening socket on port 829 handed over and another port in its configuration.</summary>
    public const string StartAsSocketUnit = $"{Configure}/bin/socket-unit 829 {Program} serve --listen vsock::830 {Rest}";

    private const string Configure = $"printf '%s' '{Lab.AmpleRates}' > /tmp/vsockpair.conf; printf '[Listen]\\nAllowLoopback=yes\\n' >> /tmp/vsockpair.conf; ";

    /// <summary>Its arguments, and the wait until it is up.</summary>
    private const string Rest = $"--config /tmp/vsockpair.conf --store {Store} > /run/collector.log 2>&1 & "
        + $"while [ ! -S {Store}/control.sock ]; do usleep 100000; [ -d /proc/$! ] || {{ cat /run/collector.log; exit 1; }}; done";

    public const string Stop = "kill -TERM $(pidof vsockpair) && while pidof vsockpair > /dev/null; do usleep 100000; done";

    /// <summary>Guest path → path on this machine.</summary>
    public static async Task<Dictionary<string, string>> FilesAsync()
    {
        string helper = Path.Combine(Path.GetDirectoryName(CollectorProcess.Binary)!, "libMonoPosixHelper.so");
        // .NET's SHA-256 loads OpenSSL by name when it is first used.
        string ssl = RigCache.Require("/usr/lib/x86_64-linux-gnu/libssl.so.3", "libssl3");
        string crypto = RigCache.Require("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "libssl3");
        Dictionary<string, string> files = new()
        {
            [Program] = CollectorProcess.Binary,
            ["/opt/vsockpair/libMonoPosixHelper.so"] = helper,
            ["/bin/socket-unit"] = await StaticProgram.SocketUnitAsync(),
        };
        foreach (string program in new[] { CollectorProcess.Binary, helper, ssl })
        {
            foreach (string library in await SharedLibraries.OfAsync(program))
            {
                files[library] = library;
            }
        }
        files[ssl] = ssl;
        files[crypto] = crypto;
        return files;
    }

    /// <summary>Copies the guest's store to a folder of this machine.</summary>
    public static async Task FetchStoreAsync(Guest guest, string folder)
    {
        byte[] archive = (await guest.RunAsync($"tar -c -f - -C {Store} metadata guests", TimeSpan.FromMinutes(3))).EnsureSuccess().Output;
        Directory.CreateDirectory(folder);
        using MemoryStream stream = new(archive);
        await TarFile.ExtractToDirectoryAsync(stream, folder, overwriteFiles: true);
    }
}
