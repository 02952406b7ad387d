using VsockPair.Linux;

namespace VsockPair.Cases;

/// <summary>What a process that reads a guest's bytes does without. For the main thread, before it starts others: they inherit its priority.</summary>
internal static class ChildRestraint
{
    /// <summary>Private memory that is written: heaps, stacks. What is reserved only, as .NET's garbage collector does with hundreds of gigabytes, does not count here.</summary>
    private const ulong DataBytes = 1UL << 30;

    /// <summary>Address space beside what the runtime has reserved already.</summary>
    private const ulong AddressBytes = 4UL << 30;

    private const uint NotForOthers = 0x17; // 027

    /// <returns>What did not work, none of which is a reason to go without the case.</returns>
    public static IReadOnlyList<string> Apply()
    {
        List<string> faults = [];
        void Check(string what, int result)
        {
            if (result < 0)
            {
                faults.Add($"{what}: {Errno.Describe(-result)}");
            }
        }
        Check("no_new_privs", Sys.ForbidNewPrivileges());
        Check("no core dump", Sys.Limit(Constants.RLIMIT_CORE, 0));
        Check("limit of data", Sys.Limit(Constants.RLIMIT_DATA, DataBytes));
        Check("limit of address space", Sys.Limit(Constants.RLIMIT_AS, AddressSpace() + AddressBytes));
        Check("idle priority", Sys.MakeThreadIdle());
        Sys.SetFileModeMask(NotForOthers);
        return faults;
    }

    /// <summary>The first number of <c>/proc/self/statm</c> is the size in pages (proc(5)).</summary>
    private static ulong AddressSpace() =>
        ulong.Parse(SmallFile.ReadText("/proc/self/statm").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture) * (ulong)Environment.SystemPageSize;
}
