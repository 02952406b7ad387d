using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tracing;

/// <summary>
/// Switches <c>pr_debug</c> call sites on and off (<c>dynamic_debug/control</c>), whose messages then are in the kernel log. The one thing that is the whole guest's
/// and no instance's: so the flags that each changed site had before are kept, also in a file for an agent that starts after this one was killed.
/// </summary>
internal sealed class DynamicDebug
{
    private const int MostSites = 1024;
    private const string NoFlags = "=_";

    private readonly Tracefs? _folder;
    private readonly string _formerFile;
    /// <summary>In the order in which it is written back.</summary>
    private List<(string Site, string Flags)> _former = [];

    /// <summary>Restores what an agent that was killed has left.</summary>
    public DynamicDebug(GuestPaths paths)
    {
        _formerFile = $"{paths.State}/dynamic_debug";
        string? folder = Array.Find(paths.DynamicDebug, f => File.Exists($"{f}/control"));
        _folder = folder is null ? null : new Tracefs(folder);
        if (File.Exists(_formerFile))
        {
            foreach (string line in SmallFile.ReadText(_formerFile).Split('\n'))
            {
                int flags = line.LastIndexOf(' ');
                if (flags > 0)
                {
                    _former.Add((line[..flags], line[(flags + 1)..]));
                }
            }
            Restore();
        }
    }

    /// <param name="lines">The kernel's own queries, checked already.</param>
    /// <returns>Null, or why nothing has changed.</returns>
    public string? Apply(IReadOnlyList<string> lines)
    {
        if (_folder is null)
        {
            return "this kernel has no dynamic_debug";
        }
        Dictionary<string, string> before = Parse(_folder.Read("control"));
        // What this agent would leave if it were killed before it knows which sites the lines change.
        _former = UndoOf(lines, before);
        string? refusal = Save();
        if (refusal is not null)
        {
            _former.Clear();
            return refusal;
        }
        foreach (string line in lines)
        {
            int result = _folder.TryWrite("control", line);
            refusal ??= result < 0 ? $"the kernel refuses \"{line}\": {Errno.Describe(-result)}" : null;
        }
        Dictionary<string, string> after = Parse(_folder.Read("control"));
        _former.Clear();
        foreach ((string site, string flags) in after)
        {
            string former = before.GetValueOrDefault(site, NoFlags);
            if (former != flags)
            {
                _former.Add((site, former));
            }
        }
        foreach ((string site, string flags) in before)
        {
            if (!after.ContainsKey(site))
            {
                _former.Add((site, flags));
            }
        }
        refusal ??= _former.Count == 0 ? "the lines of dynamic_debug change nothing"
            : _former.Count > MostSites ? $"the lines of dynamic_debug change {_former.Count} call sites, and at most {MostSites} are changed at once"
            : Save();
        if (refusal is not null)
        {
            Restore();
        }
        return refusal;
    }

    public void Restore()
    {
        foreach ((string site, string flags) in _former)
        {
            // It fails where the site's module is gone.
            _folder?.TryWrite("control", $"{site} {flags}");
        }
        _former.Clear();
        File.Delete(_formerFile);
    }

    /// <summary>All that the lines choose goes off, then what was on comes back.</summary>
    internal static List<(string Site, string Flags)> UndoOf(IReadOnlyList<string> lines, Dictionary<string, string> before)
    {
        List<(string Site, string Flags)> undo = [];
        for (int i = 0; i < lines.Count; i++)
        {
            undo.Add((lines[i][..lines[i].LastIndexOf(' ')], NoFlags));
        }
        foreach ((string site, string flags) in before)
        {
            undo.Add((site, flags));
        }
        return undo;
    }

    /// <summary>Queries for each site that has flags → these. A line: <c>lib/kobject.c:233 [kobject]kobject_add_internal =p "…"</c>.</summary>
    internal static Dictionary<string, string> Parse(string control)
    {
        Dictionary<string, string> sites = [];
        foreach (string line in control.Split('\n'))
        {
            int module = line.IndexOf(" [", StringComparison.Ordinal);
            int function = line.IndexOf(']', module + 1);
            int flags = line.IndexOf(" =", function + 1, StringComparison.Ordinal);
            int number = module < 0 ? -1 : line.LastIndexOf(':', module);
            if (number < 0 || function < module || flags < function)
            {
                continue;
            }
            int end = line.IndexOf(' ', flags + 1);
            string value = end < 0 ? line[(flags + 1)..] : line[(flags + 1)..end];
            if (value != NoFlags)
            {
                sites[$"file {line[..number]} line {line[(number + 1)..module]} module {line[(module + 2)..function]} func {line[(function + 1)..flags]}"] = value;
            }
        }
        return sites;
    }

    private string? Save()
    {
        List<string> lines = [];
        foreach ((string site, string flags) in _former)
        {
            lines.Add($"{site} {flags}");
        }
        try
        {
            SmallFile.Write(_formerFile, string.Join('\n', lines));
            return null;
        }
        catch (LinuxException e)
        {
            return $"what dynamic_debug was before cannot be kept: {e.Message}";
        }
    }
}
