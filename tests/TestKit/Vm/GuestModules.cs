namespace VsockPair.TestKit.Vm;

/// <summary>Which kernel modules a guest carries, and in which order they are inserted.</summary>
public static class GuestModules
{
    /// <summary>The host side of AF_VSOCK, for the outer guest of a nested pair.</summary>
    public static IReadOnlyList<string> VsockHost { get; } = ["vhost_iotlb", "vhost", "vhost_vsock"];

    internal const string Ramoops = "ramoops";

    // Each after those it needs; names that a kernel has built in are left out.
    internal static readonly string[] Inserted =
    [
        "virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_console",
        "vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport", "vsock_loopback",
        "reed_solomon",
        "pvpanic", "pvpanic-pci", "pvpanic-mmio",
        "qemu_fw_cfg",
    ];

    private static readonly string[] OnDemand = [Ramoops, "virtio_blk", .. VsockHost];

    /// <summary>Every module of the base initramfs: name → file in the kernel's package, plain or xz-compressed.</summary>
    internal static Dictionary<string, string> Find(KernelFiles kernel)
    {
        string[] files = Directory.GetFiles(kernel.Modules, "*.ko*", SearchOption.AllDirectories);
        Dictionary<string, string> byName = files.ToDictionary(file => Path.GetFileName(file).Split(".ko")[0]);
        HashSet<string> builtIn =
        [
            .. File.ReadLines(Path.Combine(kernel.Modules, "modules.builtin")).Select(line => Path.GetFileNameWithoutExtension(line)),
        ];
        var found = new Dictionary<string, string>();
        foreach (string module in Inserted.Concat(OnDemand).Where(module => !builtIn.Contains(module)))
        {
            found.Add(module, byName.GetValueOrDefault(module)
                ?? throw new InvalidOperationException($"kernel {kernel.Release} has no module {module}, neither built in nor in {kernel.Modules}"));
        }

        return found;
    }
}
