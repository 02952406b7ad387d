using System.Globalization;

namespace VsockPair.TestKit;

/// <summary>What the kernel tells of this process's threads, found by how their names begin. One that has ended is not counted.</summary>
public static class OwnThreads
{
    /// <summary>To the nanosecond, where <c>stat</c> counts ticks of 10 ms: the first field of <c>/proc/PID/task/TID/schedstat</c>.</summary>
    public static double CpuSeconds(string name) => Of(name, "schedstat").Sum(stat => long.Parse(stat.Split(' ')[0], CultureInfo.InvariantCulture) / 1e9);

    /// <summary>Scheduling policies: field 41 of <c>/proc/PID/task/TID/stat</c>, behind a name that may hold anything.</summary>
    public static int[] Policies(string name) =>
        [.. Of(name, "stat").Select(stat => int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[38], CultureInfo.InvariantCulture))];

    private static IEnumerable<string> Of(string name, string file) =>
        Directory.GetDirectories("/proc/self/task").Where(task => Read(task, "comm").StartsWith(name, StringComparison.Ordinal)).Select(task => Read(task, file)).Where(text => text.Length > 0);

    private static string Read(string task, string file)
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, file));
        }
        catch (IOException)
        {
            // It has ended since the folder was listed.
            return "";
        }
    }
}
