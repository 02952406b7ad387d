using VsockPair.Commands;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Cases;

/// <summary>
/// One folder under <c>cases/</c>, as a reader finds it: with or without a running <c>watch</c>, finished or not. The manifest was written by a process that reads what guests
/// left in their memory, so nothing in it is taken for a path before it was looked at.
/// </summary>
internal sealed record StoredCase(string Folder, CaseEvent Event, CaseManifest? Manifest)
{
    /// <summary>The case that was opened last.</summary>
    public const string Last = "last";

    private const int NamesShown = 5;

    public string Id => Path.GetFileName(Folder);

    /// <summary>More may come to it. A case whose last assembly failed is told as it is, and over.</summary>
    public bool IsOpen => Manifest?.Closed is null && Event.Announced is null;

    /// <summary>Newest first.</summary>
    public static IReadOnlyList<string> Ids(string store)
    {
        string cases = StorePaths.Cases(store);
        return !Directory.Exists(cases)
            ? []
            : [.. Directory.EnumerateDirectories(cases).Select(f => Path.GetFileName(f)).Where(n => CasePaths.IsId(n)).OrderDescending(StringComparer.Ordinal)];
    }

    /// <summary>Null for a folder without an event that can be read: it is being made, or being removed.</summary>
    public static StoredCase? TryOpen(string store, string id)
    {
        string folder = CasePaths.Folder(store, id);
        return DurableFile.TryRead(CasePaths.Event(folder), CaseJson.Default.CaseEvent) is CaseEvent happened
            ? new StoredCase(folder, happened, DurableFile.TryRead(CasePaths.Manifest(folder), CaseJson.Default.CaseManifest))
            : null;
    }

    /// <param name="wanted">An id, or <see cref="Last"/>.</param>
    /// <exception cref="CommandFailure">There is no such case, or no store.</exception>
    public static StoredCase Find(string store, string wanted)
    {
        if (!Directory.Exists(store))
        {
            throw new CommandFailure(ExitCode.NothingFound, $"no store at {TerminalText.Escape(store)}; name it with --store, or start vsockpair watch");
        }
        IReadOnlyList<string> ids = Ids(store);
        IEnumerable<string> meant = wanted == Last ? ids : ids.Where(id => id == wanted);
        return meant.Select(id => TryOpen(store, id)).FirstOrDefault(c => c is not null)
            ?? throw new CommandFailure(ExitCode.NothingFound, (wanted == Last ? "" : $"no case {TerminalText.EscapeShort(wanted)}; ") + (ids.Count > 0
                ? $"there are {ids.Count}, the newest: {string.Join(", ", ids.Take(NamesShown))}"
                : "no case has been recorded"));
    }

    /// <summary>What it takes on the disk.</summary>
    public long BlocksOf() => BlocksOf(Folder);

    public static long BlocksOf(string folder)
    {
        try
        {
            return Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Sum(DiskSpace.BlocksOf);
        }
        catch (DirectoryNotFoundException)
        {
            // Removed meanwhile.
            return 0;
        }
    }
}
