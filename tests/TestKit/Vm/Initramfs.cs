using System.Security.Cryptography;
using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// Builds a guest's initramfs from two archives, one after the other: a base (busybox, modules, command server, init) that is
/// cached per kernel, and the files of this guest. Not compressed: inflating under TCG costs more than copying.
/// </summary>
internal static class Initramfs
{
    /// <summary>Writes the initramfs to <paramref name="path"/> and returns its size.</summary>
    public static async Task<long> WriteAsync(string path, GuestOptions options, string ramoopsParameters, IEnumerable<string> ports)
    {
        KernelFiles kernel = RigCache.FindKernel(options.Kernel);
        Dictionary<string, string> modules = GuestModules.Find(kernel);
        string baseArchive = await BuildBaseAsync(kernel, modules);

        await using FileStream output = File.Create(path);
        await using (FileStream archive = File.OpenRead(baseArchive))
        {
            await archive.CopyToAsync(output);
        }

        var cpio = new CpioWriter(output);
        foreach ((string guestPath, string hostPath) in options.Files)
        {
            cpio.AddFile(guestPath, await File.ReadAllBytesAsync(hostPath));
        }

        foreach ((string guestPath, string text) in options.Texts)
        {
            cpio.AddText(guestPath, text);
        }

        IEnumerable<string> inserted = GuestModules.Inserted.Concat(options.Modules).Where(modules.ContainsKey);
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

    private static async Task<string> BuildBaseAsync(KernelFiles kernel, Dictionary<string, string> modules)
    {
        string init = StaticProgram.ReadResource("init.sh");
        string server = await StaticProgram.CommandServerAsync();
        string ingredients = string.Join('\n', [init, server, .. modules.Values, File.GetLastWriteTimeUtc(RigCache.Busybox).ToString("O")]);
        string digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(ingredients)))[..16];
        return await RigCache.GetOrBuildAsync("initramfs", $"{kernel.Release}-{digest}.cpio", async path =>
        {
            await using FileStream output = File.Create(path);
            var cpio = new CpioWriter(output);
            cpio.AddText("/init", init);
            cpio.AddFile("/bin/busybox", await File.ReadAllBytesAsync(RigCache.Busybox));
            cpio.AddFile("/bin/command-server", await File.ReadAllBytesAsync(server));
            foreach ((string module, string file) in modules)
            {
                byte[] content = file.EndsWith(".xz", StringComparison.Ordinal)
                    ? await HostCommand.RunAsync(RigCache.Require("/usr/bin/xz", "xz-utils"), "-dc", file)
                    : await File.ReadAllBytesAsync(file);
                cpio.AddFile($"/lib/modules/{module}.ko", content);
            }

            cpio.Finish();
        });
    }

    private static string Lines(IEnumerable<string> lines) => string.Concat(lines.Select(line => line + "\n"));
}
