using System.IO.Enumeration;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>Turns patterns (<c>SYSTEM</c>, <c>SYSTEM:EVENT</c>, with * and ?) into the events that this kernel has.</summary>
internal static class EventSelection
{
    /// <param name="missing">Receives each pattern that matches nothing here.</param>
    /// <returns><c>SYSTEM/EVENT</c>, sorted, each once.</returns>
    public static IReadOnlyList<string> Resolve(string eventsFolder, IReadOnlyList<string> patterns, ICollection<string> missing)
    {
        SortedSet<string> found = new(StringComparer.Ordinal);
        string[] systems = Names(eventsFolder);
        foreach (string pattern in patterns)
        {
            string[] parts = pattern.Split(':');
            bool known = false;
            foreach (string system in systems.Where(s => FileSystemName.MatchesSimpleExpression(parts[0], s, ignoreCase: false)))
            {
                foreach (string name in Names($"{eventsFolder}/{system}"))
                {
                    // Events of the system "ftrace" belong to tracers and cannot be enabled.
                    if ((parts.Length == 1 || FileSystemName.MatchesSimpleExpression(parts[1], name, ignoreCase: false))
                        && File.Exists($"{eventsFolder}/{system}/{name}/enable"))
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
        return [.. found];
    }

    private static string[] Names(string folder) => [.. Directory.GetDirectories(folder).Select(f => Path.GetFileName(f))];
}
