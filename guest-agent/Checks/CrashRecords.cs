using System.Globalization;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Checks;

/// <summary>What of a crash survives a reboot in the guest's own memory.</summary>
internal static class CrashRecords
{
    // A version as one number, 6.12 is 6012.
    private const int FirstWithRing = 6012;

    public static ReadinessCheck Pstore(GuestPaths paths)
    {
        const string Name = "pstore";
        string modules = $"{paths.SysFs}/module";
        string backend = GuestReadiness.TryRead($"{modules}/pstore/parameters/backend") ?? "";
        if (backend is "" or "(null)")
        {
            return GuestReadiness.Missing(
                Name, "no backend: the last messages of a crash do not survive a reboot",
                "2 MiB of memory at a free address A: memmap=2M$A ramoops.mem_address=A ramoops.mem_size=0x200000 ramoops.record_size=0x40000 on the kernel's command line, and modprobe ramoops");
        }
        string record = backend;
        if (backend == "ramoops" && int.TryParse(GuestReadiness.TryRead($"{modules}/ramoops/parameters/record_size"), NumberStyles.None, CultureInfo.InvariantCulture, out int bytes))
        {
            if (bytes == 0)
            {
                return GuestReadiness.Missing(Name, "ramoops has no room for a crash record (record_size is 0)", "ramoops.record_size=0x40000 on the kernel's command line, or for modprobe");
            }
            record = $"ramoops, records of {bytes / 1024} KiB";
        }
        return Array.Exists((GuestReadiness.TryRead($"{paths.Proc}/mounts") ?? "").Split('\n'), l => l.Split(' ') is [_, _, "pstore", ..])
            ? GuestReadiness.Ok(Name, record)
            : GuestReadiness.Missing(Name, $"{record}, but not mounted: a record that survived is not seen", "mount -t pstore pstore /sys/fs/pstore");
    }

    /// <summary>The persistent trace ring, on the kernel's command line only. Which kernel could have one, nothing but its version tells.</summary>
    public static ReadinessCheck TraceRing(GuestPaths paths)
    {
        const string Name = "persistent-ring";
        if (Tracefs.Find(paths)?.Instance(PersistentRing.Name) is Tracefs ring && ring.Has(PersistentRing.BootInfo))
        {
            string size = GuestReadiness.TryRead(ring.Path("buffer_size_kb")) ?? "?";
            return GuestReadiness.Ok(Name, $"{PersistentRing.Name}, {size} KiB per vCPU");
        }
        string release = GuestReadiness.TryRead($"{paths.Proc}/sys/kernel/osrelease") ?? "";
        return VersionOf(release) >= FirstWithRing
            ? GuestReadiness.Missing(
                Name, "none: the last events before a crash that the host does not catch are lost",
                $"reserve_mem=12M:4096:trace trace_instance={PersistentRing.Name}^traceoff@trace on the kernel's command line (a kernel that is moved at boot, KASLR, may find the memory used: nokaslr is safe)")
            : new ReadinessCheck(Name, CheckState.NotCounted, "this kernel cannot have one (Linux 6.12 and newer can)", "");
    }

    // Not the Version class, which alone would make the agent larger than all checks together.
    private static int VersionOf(string release)
    {
        string[] parts = release.Split('.', '-', '+');
        return parts.Length > 1
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int major) && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int minor)
            ? major * 1000 + minor
            : 0;
    }
}
