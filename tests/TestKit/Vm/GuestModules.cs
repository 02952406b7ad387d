using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// The kernel modules that guests carry, with those they need. Debian makes modules.dep at installation and the rig only unpacks,
/// so the dependencies are read from the modules themselves (".modinfo": <c>depends=a,b</c>).
/// </summary>
internal sealed class GuestModules
{
    public const string Ramoops = "ramoops";

    /// <summary>What every guest inserts, where its kernel has it as a module.</summary>
    public static readonly string[] Usual =
    [
        "virtio_pci", "virtio_console",
        "vmw_vsock_virtio_transport", "vsock_loopback",
        "pvpanic-pci", "pvpanic-mmio",
        "qemu_fw_cfg",
    ];

    /// <summary>What a guest finds beside them, for <see cref="GuestOptions.Modules"/>.</summary>
    private static readonly string[] OnDemand = [Ramoops, "virtio_blk", "vhost_vsock"];

    private readonly Dictionary<string, string> _files;
    private readonly HashSet<string> _builtIn;
    private readonly Dictionary<string, Module> _loaded = [];

    private GuestModules(KernelFiles kernel)
    {
        Release = kernel.Release;
        _files = Directory.GetFiles(kernel.Modules, "*.ko*", SearchOption.AllDirectories).ToDictionary(ModuleName);
        _builtIn = [.. File.ReadLines(Path.Combine(kernel.Modules, "modules.builtin")).Select(ModuleName)];
    }

    private string Release { get; }

    /// <summary>Adds modules and their modules.dep for modprobe; built-in ones are listed, so that modprobe is content with them.</summary>
    public static async Task AddToAsync(CpioWriter cpio, KernelFiles kernel)
    {
        var modules = new GuestModules(kernel);
        foreach (string name in Usual.Concat(OnDemand))
        {
            await modules.LoadAsync(ModuleName(name));
        }

        string folder = $"/lib/modules/{kernel.Release}";
        var dependencies = new StringBuilder();
        foreach ((string name, Module module) in modules._loaded)
        {
            cpio.AddFile($"{folder}/{name}.ko", module.Content);
            dependencies.Append(name).Append(".ko:");
            foreach (string needed in modules.AllNeededBy(name))
            {
                dependencies.Append(' ').Append(needed).Append(".ko");
            }

            dependencies.Append('\n');
        }

        cpio.AddText($"{folder}/modules.dep", dependencies.ToString());
        cpio.AddText($"{folder}/modules.builtin", string.Concat(modules._builtIn.Select(name => $"{name}.ko\n")));
    }

    private async Task LoadAsync(string name)
    {
        if (_loaded.ContainsKey(name) || _builtIn.Contains(name))
        {
            return;
        }

        if (!_files.TryGetValue(name, out string? file))
        {
            throw new InvalidOperationException($"kernel {Release} has no module {name}, neither built in nor beside it");
        }

        byte[] content = file.EndsWith(".xz", StringComparison.Ordinal)
            ? await HostCommand.RunAsync(RigCache.Require("/usr/bin/xz", "xz-utils"), "-dc", file)
            : await File.ReadAllBytesAsync(file);
        string[] needed = ReadDependencies(content);
        _loaded.Add(name, new Module(content, needed));
        foreach (string dependency in needed)
        {
            await LoadAsync(dependency);
        }
    }

    /// <summary>In the order of modules.dep: what is named last is inserted first.</summary>
    private List<string> AllNeededBy(string name)
    {
        List<string> insertionOrder = [];
        Visit(name);
        insertionOrder.Remove(name);
        insertionOrder.Reverse();
        return insertionOrder;

        void Visit(string module)
        {
            if (!_loaded.TryGetValue(module, out Module? loaded) || insertionOrder.Contains(module))
            {
                return;
            }

            foreach (string needed in loaded.Needed)
            {
                Visit(needed);
            }

            insertionOrder.Add(module);
        }
    }

    private static string[] ReadDependencies(ReadOnlySpan<byte> module)
    {
        ReadOnlySpan<byte> key = "\0depends="u8;
        int start = module.IndexOf(key);
        if (start < 0)
        {
            throw new InvalidDataException("a kernel module without depends= in its .modinfo");
        }

        ReadOnlySpan<byte> value = module[(start + key.Length)..];
        return Encoding.ASCII.GetString(value[..value.IndexOf((byte)0)]).Split(',', StringSplitOptions.RemoveEmptyEntries);
    }

    // Files may be called pvpanic-pci where the module is pvpanic_pci.
    private static string ModuleName(string path) => Path.GetFileName(path).Split(".ko")[0].Replace('-', '_');

    private sealed record Module(byte[] Content, string[] Needed);
}
