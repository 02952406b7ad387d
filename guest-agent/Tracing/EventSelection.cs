using System.IO.Enumeration;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>Turns patterns (<c>SYSTEM</c>, <c>SYSTEM:EVENT</c>, with * and ?) into the events that this kernel has.</summary>
internal static class EventSelection
{
    /// <param name="missing">Receives each pattern that matches nothing here.</param>
    /// <returns><c>SYSTEM/EVENT</c>, sorted, each once.</returns>
    public static List<string> Resolve(string eventsFolder, IReadOnlyList<string> patterns, ICollection<string> missing)
    {
        HashSet<string> found = [];
        foreach (string pattern in patterns)
        {
            string[] parts = pattern.Split(':');
            bool known = false;
            foreach (string system in NamesLike(eventsFolder, parts[0]))
            {
                foreach (string name in NamesLike($"{eventsFolder}/{system}", parts.Length > 1 ? parts[1] : "*"))
                {
                    // Events of the system "ftrace" belong to tracers and cannot be enabled.
                    if (File.Exists($"{eventsFolder}/{system}/{name}/enable"))
                    {
                        found.Add($"{system}/{name}");
                        known = true;
                    }
                }
            }
            if (!known)
            {
                missing.Add(pattern);
            }
        }
        // A collection expression would call LINQ here, which the agent does without.
        List<string> sorted = new(found);
        sorted.Sort(StringComparer.Ordinal);
        return sorted;
    }

    private static string[] NamesLike(string folder, string pattern)
    {
        string[] names = Array.ConvertAll(Directory.GetDirectories(folder), Path.GetFileName)!;
        return Array.FindAll(names, n => FileSystemName.MatchesSimpleExpression(pattern, n, ignoreCase: false));
    }
}
