namespace VsockPair.TestKit.Vm;

/// <summary>A kernel as unpacked from its package.</summary>
internal sealed record KernelFiles(string Release, string Image, string Modules);

/// <summary>
/// Where tests/rig/install.sh put things, and where the rig keeps what it builds from them.
/// Everything built is written under a temporary name and renamed: test processes may share the cache.
/// </summary>
internal static class RigCache
{
    public static string Root { get; } =
        Environment.GetEnvironmentVariable("VSOCKPAIR_CACHE") is { Length: > 0 } configured
            ? configured
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "vsockpair");

    public static string Qemu => Require("/usr/bin/qemu-system-x86_64", "QEMU");

    public static string Busybox => Require("/bin/busybox", "busybox-static");

    public static string VsockBackend => Require(Path.Combine(Root, "vhost-device-vsock", "usr", "bin", "vhost-device-vsock"), "vhost-device-vsock");

    public static KernelFiles FindKernel(GuestKernel kernel)
    {
        string package = Path.Combine(Root, kernel == GuestKernel.Linux612 ? "linux-6.12" : "linux-6.1");
        if (!Directory.Exists(package))
        {
            throw new RigMissingException($"the guest kernel in {package}");
        }

        string image = Directory.GetFiles(Path.Combine(package, "boot"), "vmlinuz-*").Single();
        string release = Path.GetFileName(image)["vmlinuz-".Length..];
        // Debian moved the modules under /usr between the two.
        string[] folders = [Path.Combine(package, "usr", "lib", "modules", release), Path.Combine(package, "lib", "modules", release)];
        return new KernelFiles(release, image, folders.First(Directory.Exists));
    }

    public static string Require(string path, string what) =>
        File.Exists(path) ? path : throw new RigMissingException($"{what} ({path})");

    /// <summary>The cached file of that name; <paramref name="build"/> writes it where there is none.</summary>
    public static async Task<string> GetOrBuildAsync(string folder, string name, Func<string, Task> build)
    {
        string directory = Path.Combine(Root, folder);
        string path = Path.Combine(directory, name);
        if (File.Exists(path))
        {
            return path;
        }

        Directory.CreateDirectory(directory);
        string unfinished = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            await build(unfinished);
            File.Move(unfinished, path, overwrite: true);
        }
        finally
        {
            File.Delete(unfinished);
        }

        return path;
    }
}
