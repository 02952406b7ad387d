using System.Globalization;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>CPU ranges as <c>/sys/devices/system/cpu</c> writes them: <c>0-3,5</c>.</summary>
internal static class CpuList
{
    public static int CountOnline(GuestPaths paths) => Parse(SmallFile.ReadText($"{paths.SysFs}/devices/system/cpu/online")).Count;

    public static List<int> Parse(string text)
    {
        List<int> cpus = [];
        foreach (string range in text.Trim().Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = range.Split('-');
            int first = int.Parse(ends[0], CultureInfo.InvariantCulture);
            int last = int.Parse(ends[^1], CultureInfo.InvariantCulture);
            for (int cpu = first; cpu <= last; cpu++)
            {
                cpus.Add(cpu);
            }
        }
        return cpus;
    }
}
