using System.Collections.Concurrent;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// Builds a guest's initramfs from two archives, one after the other: a base (busybox, modules, command server, init) that is
/// made once per kernel and process, and the files of this guest. Not compressed: inflating under TCG costs more than copying.
/// </summary>
internal static class Initramfs
{
    private static readonly ConcurrentDictionary<string, Lazy<Task<byte[]>>> Bases = [];

    /// <summary>Writes the initramfs to <paramref name="path"/> and returns its size.</summary>
    public static async Task<long> WriteAsync(string path, GuestOptions options, string ramoopsParameters, IEnumerable<string> ports)
    {
        KernelFiles kernel = RigCache.FindKernel(options.Kernel);
        await using FileStream output = File.Create(path);
        await output.WriteAsync(await Bases.GetOrAdd(kernel.Release, _ => new(() => BuildBaseAsync(kernel))).Value);
        var cpio = new CpioWriter(output);
        foreach ((string guestPath, string hostPath) in options.Files)
        {
            cpio.AddFile(guestPath, await File.ReadAllBytesAsync(hostPath));
        }

        foreach ((string guestPath, string text) in options.Texts)
        {
            cpio.AddText(guestPath, text);
        }

        IEnumerable<string> inserted = GuestModules.Usual.Concat(options.Modules);
        if (options.Ramoops)
        {
            inserted = inserted.Append($"{GuestModules.Ramoops} {ramoopsParameters}");
            cpio.AddText("/etc/rig/mount-pstore", "");
        }

        cpio.AddText("/etc/rig/modules", Lines(inserted));
        cpio.AddText("/etc/rig/ports", Lines(ports));
        cpio.AddText("/etc/rig/name", options.Name + "\n");
        if (options.InitScript.Length > 0)
        {
            cpio.AddText("/etc/rig/script", options.InitScript + "\n");
        }

        cpio.Finish();
        return output.Length;
    }

    private static async Task<byte[]> BuildBaseAsync(KernelFiles kernel)
    {
        using var output = new MemoryStream();
        var cpio = new CpioWriter(output);
        cpio.AddText("/init", StaticProgram.ReadResource("init.sh"));
        cpio.AddFile("/bin/busybox", await File.ReadAllBytesAsync(RigCache.Busybox));
        cpio.AddFile("/bin/command-server", await File.ReadAllBytesAsync(await StaticProgram.CommandServerAsync()));
        await GuestModules.AddToAsync(cpio, kernel);
        cpio.Finish();
        return output.ToArray();
    }

    private static string Lines(IEnumerable<string> lines) => string.Concat(lines.Select(line => line + "\n"));
}
