using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Checks;

/// <summary>What the kernel does when it crashes, by its settings.</summary>
internal static class KernelCrash
{
    public static bool IsKdumpLoaded(GuestPaths paths) => GuestReadiness.TryRead($"{paths.SysFs}/kernel/kexec_crash_loaded") == "1";

    /// <summary>A loaded crash kernel takes over before the panic notifiers run, of which pvpanic is one, and before kmsg_dump, unless it is told to wait (panic() in kernel/panic.c).</summary>
    public static ReadinessCheck Kdump(GuestPaths paths)
    {
        const string Name = "kdump";
        if (!IsKdumpLoaded(paths))
        {
            return GuestReadiness.Ok(Name, "no crash kernel is loaded: the host alone takes care of a crash");
        }
        string setting = $"{paths.SysFs}/module/kernel/parameters/crash_kexec_post_notifiers";
        return GuestReadiness.TryRead(setting) is "Y" or "1"
            ? GuestReadiness.Ok(Name, "a crash kernel is loaded, and runs after the host was told")
            : GuestReadiness.Missing(
                Name, "a crash kernel is loaded and takes over before the host is told of a panic, and before pstore is written",
                $"echo Y > {setting}; for every boot: crash_kexec_post_notifiers on the kernel's command line");
    }

    public static ReadinessCheck Timeout(GuestPaths paths)
    {
        const string Name = "panic-timeout";
        const string Fix = "sysctl -w kernel.panic=10; for every boot: echo kernel.panic=10 >> /etc/sysctl.d/60-vsockpair.conf";
        return GuestReadiness.TryRead($"{paths.Proc}/sys/kernel/panic") switch
        {
            null => GuestReadiness.Missing(Name, "/proc/sys/kernel/panic cannot be read", Fix),
            "0" => GuestReadiness.Missing(Name, "kernel.panic is 0: this guest stands still after a panic, and what survives a reboot is not seen until somebody resets it", Fix),
            ['-', ..] => GuestReadiness.Ok(Name, "reboots at once after a panic"),
            string seconds => GuestReadiness.Ok(Name, $"reboots {seconds} s after a panic"),
        };
    }

    public static ReadinessCheck Oops(GuestPaths paths)
    {
        const string Name = "panic-on-oops";
        return GuestReadiness.TryRead($"{paths.Proc}/sys/kernel/panic_on_oops") == "1"
            ? GuestReadiness.Ok(Name, "an oops is a panic")
            : GuestReadiness.Missing(
                Name, "an oops is no panic: the guest goes on with a part of it dead, and the host is not told",
                "sysctl -w kernel.panic_on_oops=1; for every boot: echo kernel.panic_on_oops=1 >> /etc/sysctl.d/60-vsockpair.conf");
    }
}
