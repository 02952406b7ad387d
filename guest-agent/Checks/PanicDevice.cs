using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Checks;

/// <summary>
/// pvpanic, by which the kernel tells the VMM of a panic: one byte at an I/O port that ACPI names QEMU0001, or a PCI device. <c>capability</c> is what the device
/// understands, <c>events</c> what the driver will tell (drivers/misc/pvpanic).
/// </summary>
internal static class PanicDevice
{
    private const string Name = "pvpanic";
    private const int Panicked = 1;
    private const int CrashLoaded = 2;

    public static ReadinessCheck Look(GuestPaths paths)
    {
        string? unbound = null;
        ReadinessCheck? silent = null;
        foreach ((string folder, string driver) in Find(paths))
        {
            if (!Directory.Exists($"{folder}/driver"))
            {
                unbound ??= driver;
                continue;
            }
            string device = Path.GetFileName(folder);
            int capability = Bits($"{folder}/capability");
            int events = Bits($"{folder}/events");
            int needed = KernelCrash.IsKdumpLoaded(paths) ? CrashLoaded : Panicked;
            if ((capability & events & needed) != 0)
            {
                return GuestReadiness.Ok(Name, $"{device} tells the host of {Describe(capability & events)}");
            }
            silent ??= (capability & needed) != 0
                ? GuestReadiness.Missing(Name, $"{device} is told not to tell the host of {Describe(needed)} (events is {events})", $"echo {capability} > {folder}/events")
                : GuestReadiness.Missing(Name, $"{device} cannot tell the host of {Describe(needed)} (capability is {capability})", "on the host: QEMU 5.0 or newer, and events=3 for the device where it is set");
        }
        return silent ?? (unbound is not null
            ? GuestReadiness.Missing(Name, "the device has no driver: the host does not learn of a panic", GuestReadiness.ModuleFix(unbound))
            : GuestReadiness.Missing(
                Name, "the machine has no pvpanic device: the host does not learn of a panic",
                "on the host: -device pvpanic-pci (libvirt: <panic model='pvpanic'/>, before 9.1 model='isa')"));
    }

    private static List<(string Folder, string Driver)> Find(GuestPaths paths)
    {
        List<(string, string)> found = [];
        string platform = $"{paths.SysFs}/bus/platform/devices/QEMU0001:00";
        if (Directory.Exists(platform))
        {
            found.Add((platform, "pvpanic-mmio"));
        }
        string pci = $"{paths.SysFs}/bus/pci/devices";
        foreach (string folder in Directory.Exists(pci) ? Directory.GetDirectories(pci) : [])
        {
            if (GuestReadiness.TryRead($"{folder}/vendor") == "0x1b36" && GuestReadiness.TryRead($"{folder}/device") == "0x0011")
            {
                found.Add((folder, "pvpanic-pci"));
            }
        }
        return found;
    }

    // Hexadecimal, of three known bits. A driver before Linux 5.13 has no such files, and tells of both.
    private static int Bits(string file) =>
        GuestReadiness.TryRead(file) is [.., char digit] && char.IsAsciiHexDigit(digit) ? (digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10) : Panicked | CrashLoaded;

    private static string Describe(int bits) => (bits & (Panicked | CrashLoaded)) switch
    {
        Panicked => "a panic",
        CrashLoaded => "a panic that kdump handles",
        _ => "a panic, also of one that kdump handles",
    };
}
