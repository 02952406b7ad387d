namespace VsockPair.Options;

/// <summary>Paths that differ in a guest's name alone: <paramref name="Before"/>, a name without <c>/</c>, and <paramref name="After"/>.</summary>
public sealed record PathTemplate(string Before, string After)
{
    public const string NamePlace = "{name}";

    /// <param name="spec">What a fault names: the path, or more.</param>
    /// <param name="template">Null when the path has no place for a name.</param>
    /// <returns>False when it has more than one.</returns>
    public static bool TryParse(string path, string spec, out PathTemplate? template, out string fault)
    {
        int place = path.IndexOf(NamePlace, StringComparison.Ordinal);
        bool again = place >= 0 && path.IndexOf(NamePlace, place + 1, StringComparison.Ordinal) >= 0;
        fault = again ? $"\"{spec}\": {NamePlace} may stand only once in a path" : "";
        template = place < 0 || again ? null : new PathTemplate(path[..place], path[(place + NamePlace.Length)..]);
        return !again;
    }

    public string PathOf(string name) => Before + name + After;

    /// <summary>Names for which the part of the path that holds the name is there.</summary>
    public IEnumerable<string> FindNames()
    {
        int slash = Before.LastIndexOf('/');
        string folder = Before[..(slash + 1)];
        string prefix = Before[(slash + 1)..];
        string suffix = After.Split('/')[0];
        if (!Directory.Exists(folder))
        {
            yield break;
        }
        foreach (string entry in Directory.EnumerateFileSystemEntries(folder))
        {
            string part = Path.GetFileName(entry);
            if (part.Length > prefix.Length + suffix.Length && part.StartsWith(prefix, StringComparison.Ordinal) && part.EndsWith(suffix, StringComparison.Ordinal))
            {
                yield return part[prefix.Length..^suffix.Length];
            }
        }
    }

    public override string ToString() => PathOf(NamePlace);
}
