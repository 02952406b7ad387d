using System.Globalization;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>The guest's RAM, from <c>/proc/meminfo</c>.</summary>
internal static class MemInfo
{
    public static long ReadTotalKb(GuestPaths paths)
    {
        // "MemTotal:        2014204 kB"
        string line = Array.Find(SmallFile.ReadText($"{paths.Proc}/meminfo").Split('\n'), l => l.StartsWith("MemTotal:", StringComparison.Ordinal))
            ?? throw new InvalidDataException("/proc/meminfo has no line MemTotal");
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}
