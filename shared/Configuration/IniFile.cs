using VsockPair.Linux;

namespace VsockPair.Configuration;

/// <summary>One <c>Key=Value</c> line, and where it stands, so that a fault can be shown to its author.</summary>
/// <param name="Section">The text between the brackets, e.g. <c>Guest web1</c>; empty before the first one.</param>
/// <param name="Origin"><c>/etc/vsockpair/vsockpair.conf:12</c>, or the name of an environment variable.</param>
public sealed record IniEntry(string Section, string Key, string Value, string Origin);

/// <summary>
/// Reads the INI files of both programs: a main file, its <c>.d/*.conf</c> drop-ins in name order, then environment variables <c>VSOCKPAIR__Section__Key</c>.
/// Later entries win. Comments begin a line with <c>#</c> or <c>;</c>. What the keys mean is the caller's business.
/// </summary>
public static class IniFile
{
    private const string EnvironmentPrefix = "VSOCKPAIR__";

    /// <param name="path">Main file; one that does not exist is empty. Drop-ins stand in the folder of its name + <c>.d</c>.</param>
    /// <param name="faults">Receives one readable line per line that is neither a section, an entry nor a comment, and per file that cannot be read.</param>
    public static IReadOnlyList<IniEntry> Load(string path, ICollection<string> faults)
    {
        List<IniEntry> entries = [];
        List<string> files = [];
        if (File.Exists(path))
        {
            files.Add(path);
        }
        if (Directory.Exists(path + ".d"))
        {
            string[] dropIns = Directory.GetFiles(path + ".d", "*.conf");
            Array.Sort(dropIns, StringComparer.Ordinal);
            files.AddRange(dropIns);
        }
        foreach (string file in files)
        {
            try
            {
                Parse(SmallFile.ReadText(file).Split('\n'), file, entries, faults);
            }
            catch (LinuxException e)
            {
                faults.Add($"{file}: cannot be read: {e.Message}");
            }
        }
        return entries;
    }

    /// <summary>
    /// Entries of the environment: <c>VSOCKPAIR__Limits__MaxCpus=8</c> is <c>[Limits] MaxCpus=8</c>. A name with the prefix but of another form becomes
    /// an entry without a section, which its reader refuses: left out, it would look as if it had been obeyed.
    /// </summary>
    public static IReadOnlyList<IniEntry> FromEnvironment(System.Collections.IDictionary environment)
    {
        List<IniEntry> entries = [];
        foreach (System.Collections.DictionaryEntry variable in environment)
        {
            string name = (string)variable.Key;
            if (name.StartsWith(EnvironmentPrefix, StringComparison.Ordinal))
            {
                string rest = name[EnvironmentPrefix.Length..];
                int split = rest.IndexOf("__", StringComparison.Ordinal);
                (string section, string key) = split > 0 ? (rest[..split], rest[(split + 2)..]) : ("", rest);
                entries.Add(new IniEntry(section, key, (string?)variable.Value ?? "", name));
            }
        }
        entries.Sort((a, b) => string.CompareOrdinal(a.Origin, b.Origin));
        return entries;
    }

    internal static void Parse(IReadOnlyList<string> lines, string file, ICollection<IniEntry> entries, ICollection<string> faults)
    {
        string section = "";
        for (int i = 0; i < lines.Count; i++)
        {
            string line = lines[i].Trim();
            string origin = $"{file}:{i + 1}";
            if (line.Length == 0 || line[0] is '#' or ';')
            {
                continue;
            }
            if (line[0] == '[' && line[^1] == ']')
            {
                section = line[1..^1].Trim();
                continue;
            }
            int equals = line.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                faults.Add($"{origin}: \"{line}\" is neither [Section], Key=Value nor a comment");
                continue;
            }
            entries.Add(new IniEntry(section, line[..equals].Trim(), line[(equals + 1)..].Trim(), origin));
        }
    }
}
