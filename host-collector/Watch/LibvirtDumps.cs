using System.Text;

namespace VsockPair.Watch;

/// <summary>
/// The dumps that libvirt takes itself (<c>on_crash</c> coredump-*): files <c>ID-NAME-TIME</c> in <c>auto_dump_path</c> of qemu.conf. libvirt never removes one.
/// </summary>
internal static class LibvirtDumps
{
    private const string Configuration = "/etc/libvirt/qemu.conf";
    private const string DefaultFolder = "/var/lib/libvirt/qemu/dump";
    private const string FolderKey = "auto_dump_path";

    /// <summary>VIR_DOMAIN_SHORT_NAME_MAX: so many characters of a domain's name are in the file's.</summary>
    private const int NameChars = 20;

    /// <summary>Its name has the second at which libvirt began, its last write is when it ended.</summary>
    private static readonly TimeSpan Before = TimeSpan.FromSeconds(2);

    public static string Folder()
    {
        try
        {
            return FolderOf(File.ReadLines(Configuration));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return DefaultFolder;
        }
    }

    /// <summary>libvirt's own configuration format: <c>key = "value"</c>, the last one counts.</summary>
    internal static string FolderOf(IEnumerable<string> lines) => lines
        .Select(l => l.Split('=', 2, StringSplitOptions.TrimEntries))
        .Where(p => p.Length == 2 && p[0] == FolderKey && p[1].Length > 2 && p[1][0] is '"' or '\'')
        .Select(p => p[1].IndexOf(p[1][0], 1) is int end and > 0 ? p[1][1..end] : null)
        .LastOrDefault(f => f?.StartsWith('/') == true) ?? DefaultFolder;

    /// <summary>The newest dump of a domain that was written since it crashed.</summary>
    public static string? Find(string folder, uint id, string name, DateTimeOffset crashed)
    {
        string prefix = $"{id}-{Shorten(name)}-";
        return new DirectoryInfo(folder) is { Exists: true } all
            ? all.EnumerateFiles()
                .Where(f => f.Name.StartsWith(prefix, StringComparison.Ordinal) && f.LinkTarget is null && f.LastWriteTimeUtc >= crashed.UtcDateTime - Before)
                .MaxBy(f => f.LastWriteTimeUtc)?.FullName
            : null;
    }

    private static string Shorten(string name)
    {
        StringBuilder text = new();
        foreach (Rune rune in name.EnumerateRunes().Take(NameChars))
        {
            text.Append(rune);
        }
        return text.ToString();
    }
}
